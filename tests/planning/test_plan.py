"""Plans as values: their file, their name, what they refuse."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from offramp.errors import ConfigError, RecordMismatch
from offramp.planning.objective import Objective
from offramp.planning.plan import GateSpec, Plan, load_plan

unit = st.floats(0, 1, allow_nan=False)
TIERS = ("device", "edge", "cloud")


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any valid plan."""
    exits = draw(st.integers(1, 4))
    segments = draw(st.integers(exits, 6))
    placement = sorted(draw(st.lists(st.integers(0, 2), min_size=segments, max_size=segments)))
    gates = draw(st.lists(st.one_of(st.none(), unit), min_size=exits - 1, max_size=exits - 1))
    return Plan(
        cascade=draw(st.text(min_size=1, max_size=10)),
        cascade_fingerprint=draw(st.sampled_from(["ab" * 32, "cd" * 32])),
        tiers=TIERS,
        placement=tuple(TIERS[tier] for tier in placement),
        gates=tuple(GateSpec(threshold=gate) for gate in gates),
        temperatures=tuple(draw(st.lists(st.floats(0.01, 100), min_size=exits, max_size=exits))),
        codec=draw(st.sampled_from(["raw", "zstd"])),
        objective=Objective(accuracy_loss=draw(unit), deadline_s=draw(st.one_of(st.none(), st.floats(1e-3, 10)))),
    )


@given(plan=plans())
def test_json_round_trip(plan: Plan) -> None:
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert again.plan_id == plan.plan_id


@given(plan=plans(), other=plans())
def test_plan_id_names_what_a_plan_does(plan: Plan, other: Plan) -> None:
    does = ("cascade_fingerprint", "tiers", "placement", "gates", "temperatures", "codec", "precision")
    same = all(getattr(plan, key) == getattr(other, key) for key in does)
    assert (plan.plan_id == other.plan_id) == same
    assert plan.model_copy(update={"objective": Objective(accuracy_loss=0.5), "planner": "x"}).plan_id == plan.plan_id


@given(plan=plans())
def test_tier_ranges_cover_the_segments_in_order(plan: Plan) -> None:
    covered = [segment for tier in plan.tiers for segment in plan.tier_range(tier)]
    assert covered == list(range(len(plan.placement)))


def test_next_tier_stops_at_the_last_that_computes() -> None:
    plan = _plan(("device", "cloud"))
    assert [plan.next_tier(tier) for tier in TIERS] == ["edge", "cloud", None]
    assert _plan(("device", "device")).next_tier("device") is None


def test_plan_id_is_stable() -> None:
    assert _plan(("device", "cloud")).plan_id == "0b00e16fd987"


def test_wrong_plans_are_refused() -> None:
    with pytest.raises(ValidationError, match="goes back down"):
        _plan(("cloud", "device"))
    with pytest.raises(ValidationError, match="names tier 'moon'"):
        _plan(("device", "moon"))
    with pytest.raises(RecordMismatch, match="another build"):
        _plan(("device", "cloud")).require("ef" * 32)


def test_wrong_files_are_refused(tmp_path: Path) -> None:
    plan = _plan(("device", "cloud"))
    file = tmp_path / "plan.json"
    with pytest.raises(ConfigError, match="no such plan"):
        load_plan(file)
    plan.save(file)
    assert load_plan(file) == plan
    for wrong, message in {
        file.read_text().replace('"raw"', '"zstd"'): "plan_id .* does not fit",
        file.read_text().replace('"codec"', '"codex"'): "codex",
        "[]": "not a plan file",
        "{": "not a plan file",
    }.items():
        file.write_text(wrong)
        with pytest.raises(ConfigError, match=message):
            load_plan(file)


def _plan(placement: tuple[str, ...]) -> Plan:
    return Plan(
        cascade="c",
        cascade_fingerprint="ab" * 32,
        tiers=TIERS,
        placement=placement,
        gates=(GateSpec(threshold=0.5),),
        temperatures=(1.0, 1.0),
    )
