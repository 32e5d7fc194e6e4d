"""The planners' study: on made-up evidence always, on a committed cascade where its profile is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from offramp.errors import ConfigError, PlanInfeasible
from offramp.planning.base import Planner
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from studies.planners import contest as contests
from studies.planners import measure
from studies.planners import study as planners
from studies.planners.cases import PROFILES, Case, Skipped, cases, tier_profile
from studies.planners.networks import NETWORKS
from tests.reporting.sample import make_profile, make_records
from tests.support.tiny import make_tiny_cascade


@pytest.fixture
def case(tmp_path: Path) -> Case:
    manifest = make_tiny_cascade(tmp_path, segments=3).manifest
    return Case("made-up", make_records(manifest, rows=1500), make_profile(manifest, "cloud"), (1.0, 1.0, 1.0))


def test_every_row_on_made_up_evidence(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planners, "cases", lambda: [case, Skipped("other", "no profile")])
    monkeypatch.setattr(planners, "NETWORKS", NETWORKS[-1:])
    listed = list(planners.study())
    rows = {row.name: row for row in listed}
    assert len(rows) == len(listed)
    assert rows["other: left out"].how == "no profile"
    assert rows["made-up, three tiers: offramp"].unit == "ms"
    names = set(contests.planner_kinds()) - {"offramp"}
    assert {f"made-up, three tiers: {name} / offramp" for name in names} <= set(rows)
    assert all(row.holds for row in rows.values() if row.holds is not None)
    assert sum(row.holds is not None for row in rows.values()) == len(names)
    assert rows["spinn / offramp: median, test rows"].ours > 0


def test_a_method_for_two_tiers_gets_its_best_pair(case: Case) -> None:
    network, objective = NETWORKS[-1], Objective(accuracy_loss=0.05)
    found = {entry.planner: entry for entry in contests.contest(case, network, objective)}
    profiles = [tier_profile(case.profile, tier.name, tier.slow_down) for tier in network.tiers]
    plan = found["spinn"].plan
    assert plan is not None
    assert set(plan.placement) <= set(network.tier_names)
    default = contests.planner_kinds()["neurosurgeon"](case.temperatures)
    first_and_last = default.plan(case.records, profiles, network, objective).predicted
    assert first_and_last is not None
    assert found["neurosurgeon"].latency_s["calibrate"] <= first_and_last.mean_latency_s + 1e-12
    assert "edge-only" not in {entry.planner for entry in contests.contest(case, NETWORKS[0], objective)}


class Careless(Planner):
    """Always stops at the first exit; where told to, finds nothing."""

    name = "careless"
    fails = False

    def plan(self, *tables: object) -> Plan:
        if self.fails:
            raise PlanInfeasible("careless: no plan answers within 1 ms")
        raise ConfigError("not for this network")


def test_infeasible_is_marked_and_not_compared(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"offramp": contests.planner_kinds()["offramp"], "careless": Careless}
    monkeypatch.setattr(contests, "planner_kinds", lambda: kinds)
    assert [entry.planner for entry in contests.contest(case, NETWORKS[0], Objective())] == ["offramp"]
    monkeypatch.setattr(Careless, "fails", True)
    monkeypatch.setattr(planners, "cases", lambda: [case])
    monkeypatch.setattr(planners, "NETWORKS", NETWORKS[:1])
    rows = {row.name: row for row in planners.study()}
    assert rows["made-up, 3G: careless infeasible"].how == "careless: no plan answers within 1 ms"
    assert not any(name.startswith("careless / offramp") for name in rows)


def test_a_slower_tier_is_modelled(case: Case) -> None:
    slow = tier_profile(case.profile, "device", 20.0)
    assert (slow.tier, slow.slow_down, slow.how) == ("device", 20.0, "modelled")
    assert slow.segments[0].median_s == 20.0 * case.profile.segments[0].median_s
    assert slow.payloads[0].encode_s == 20.0 * case.profile.payloads[0].encode_s
    assert slow.payloads[0].payload_bytes == case.profile.payloads[0].payload_bytes


def test_cascades_without_a_profile_or_rows_are_left_out(tmp_path: Path, case: Case) -> None:
    for name, records in {"bare": case.records, "testing": case.records.on("test"), "whole": case.records}.items():
        records.save(tmp_path / "examples" / name / "records" / "fp32.parquet")
    (tmp_path / "examples" / "damaged" / "records").mkdir(parents=True)
    (tmp_path / "examples" / "damaged" / "records" / "fp32.parquet").write_bytes(b"")
    case.profile.save(tmp_path / "whole.json")
    found = {one.name: one for one in cases(tmp_path / "examples", tmp_path)}
    reasons = {name: one.reason for name, one in found.items() if isinstance(one, Skipped)}
    assert reasons["bare"].startswith("no profile")
    assert reasons["testing"] == "its records have no tune or calibrate rows"
    assert "damaged" in reasons
    assert isinstance(found["whole"], Case)


def test_measuring_leaves_out_what_is_not_here(
    tmp_path: Path, case: Case, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    case.records.save(tmp_path / "whole.parquet")
    case.records.on("test").save(tmp_path / "testing.parquet")
    files = {name: tmp_path / f"{name}.parquet" for name in ("whole", "testing")}
    monkeypatch.setattr(measure, "records_files", lambda: files)
    monkeypatch.setattr(measure, "_built", list)
    assert measure.main(["--folder", str(tmp_path)]) == 0
    told = capsys.readouterr().err
    assert "whole: its cascade is not here; skipped" in told
    assert "testing: its records have no tune or calibrate rows; skipped" in told
    assert not list(tmp_path.glob("*.json"))


def test_a_committed_cascade(monkeypatch: pytest.MonkeyPatch) -> None:
    if not (PROFILES / "pair-cifar100.json").is_file():
        pytest.skip("no profile in this checkout")
    pair = [one for one in cases() if isinstance(one, Case) and one.name == "pair-cifar100"]
    monkeypatch.setattr(planners, "cases", lambda: pair)
    monkeypatch.setattr(planners, "NETWORKS", NETWORKS[:2])
    rows = list(planners.study())
    assert all(row.holds for row in rows if row.holds is not None)
    assert len(rows) > 20
