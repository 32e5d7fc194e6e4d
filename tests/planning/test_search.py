"""The search is exact, honest about what it predicts, and clear when there is nothing to find."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.codecs.registry import codec_names, get_codec
from offramp.confidence.settings import evaluate
from offramp.errors import ConfigError, NotEnoughSamples, PlanInfeasible, RecordMismatch
from offramp.planning.costs import cost_table
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from offramp.planning.replay import plan_thresholds, replay
from offramp.planning.result import SearchResult, load_search_result
from offramp.planning.search import search
from offramp.records.confidences import confidences
from tests.planning.brute import best_of, brute_force
from tests.support.instances import Instance, make_instance

MOST = 120


def find(case: Instance, objective: Objective, **more: object) -> SearchResult:
    return search(
        case.records,
        case.profiles,
        case.network,
        objective,
        temperatures=case.temperatures,
        max_settings=MOST,
        **more,  # type: ignore[arg-type]  # keywords of search, passed on
    )


def tune_latency(case: Instance, plan: Plan) -> tuple[float, float]:
    """Mean latency and accuracy of a plan on the tune rows."""
    tune = case.records.on("tune")
    share, accuracy = evaluate(confidences(tune, plan.temperatures), tune.correct, plan_thresholds(plan)[None])
    table = cost_table(case.profiles, case.network, plan.codec, case.records.exits)
    return float(share[0] @ table.cost_s[table.row_of(plan.placement)]), float(accuracy[0])


@settings(max_examples=200, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    segments=st.integers(1, 5),
    tiers=st.integers(1, 3),
    exits=st.integers(1, 3),
    rows=st.integers(4, 50),
    loss=st.sampled_from([0.0, 0.02, 0.1, 0.5, 1.0]),
    deadline_s=st.one_of(st.none(), st.floats(1e-4, 0.08)),
    quantile=st.sampled_from([1.0, 0.95, 0.8, 0.5]),
    levels=st.sampled_from([0, 2]),
    two_codecs=st.booleans(),
)
def test_search_equals_brute_force(
    seed: int,
    segments: int,
    tiers: int,
    exits: int,
    rows: int,
    loss: float,
    deadline_s: float | None,
    quantile: float,
    levels: int,
    two_codecs: bool,
) -> None:
    codecs = ("raw", "zstd") if two_codecs else ("raw",)
    case = make_instance(seed, segments, tiers, min(exits, segments), rows, codecs, levels)
    objective = Objective(accuracy_loss=loss, deadline_s=deadline_s, deadline_quantile=quantile)
    points = brute_force(case, objective, codecs, MOST)
    expected = best_of(points, loss)
    if np.isinf(expected):
        with pytest.raises(PlanInfeasible):
            find(case, objective)
        return
    found = find(case, objective)
    latency, accuracy = tune_latency(case, found.plan)
    assert latency == pytest.approx(expected, abs=1e-11)
    last = float(case.records.on("tune").correct[-1].mean())
    assert last - accuracy <= loss + 1e-9
    _check_front(found, [(p.latency_s, p.accuracy) for p in points], latency, accuracy)
    _check_runners_up(case, found, latency)


def _check_front(found: SearchResult, points: list[tuple[float, float]], latency: float, accuracy: float) -> None:
    front = [(point.mean_latency_s, point.accuracy) for point in found.front]
    assert front == sorted(front)
    assert all(a[1] < b[1] for a, b in itertools.pairwise(front)), "a dominated point"
    assert any(abs(s - latency) < 1e-11 and abs(a - accuracy) < 1e-9 for s, a in front), "the optimum is missing"
    for seconds, right in front:
        assert not any(s < seconds - 1e-11 and a >= right - 1e-9 for s, a in points), "brute force beats the front"
    # thinned or not, the ends are those of all points
    assert front[-1][1] == pytest.approx(max(a for _, a in points))
    assert front[0][0] == pytest.approx(min(s for s, _ in points), abs=1e-11)


def _check_runners_up(case: Instance, found: SearchResult, latency: float) -> None:
    behind = [tune_latency(case, candidate.plan)[0] for candidate in found.alternatives]
    assert [latency, *behind] == pytest.approx(sorted([latency, *behind]), abs=1e-11)
    plans = [found.plan, *(candidate.plan for candidate in found.alternatives)]
    assert len({(plan.placement, plan.codec) for plan in plans}) == len(plans)
    assert all(len(a.reason) > 5 for a in found.alternatives)
    assert [c.name for c in found.endpoints] == [f"{tier}-only" for tier in case.network.tier_names]
    for candidate in found.endpoints:
        assert len(set(candidate.plan.placement)) == 1


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    loss=st.sampled_from([0.0, 0.02, 0.1]),
    deadline_s=st.floats(1e-5, 0.02),
    quantile=st.sampled_from([1.0, 0.9, 0.5]),
)
def test_what_an_infeasible_message_says_would_do_does(
    seed: int, loss: float, deadline_s: float, quantile: float
) -> None:
    case = make_instance(seed, 3, 3, 3, 40)
    objective = Objective(accuracy_loss=loss, deadline_s=deadline_s, deadline_quantile=quantile)
    try:
        find(case, objective)
    except PlanInfeasible as error:
        message = str(error)
    else:
        return
    least_ms = float(re.search(r"least deadline is ([\d.]+) ms", message).group(1))  # type: ignore[union-attr]
    find(case, objective.model_copy(update={"deadline_s": least_ms / 1e3}))
    with pytest.raises(PlanInfeasible):
        find(case, objective.model_copy(update={"deadline_s": (least_ms - 0.02) / 1e3}))
    if least_loss := re.search(r"least loss is (\S+)", message):
        find(case, objective.model_copy(update={"accuracy_loss": max(0.0, float(least_loss.group(1)))}))
    else:
        assert "whatever the accuracy" in message
        with pytest.raises(PlanInfeasible):
            find(case, objective.model_copy(update={"accuracy_loss": 1.0}))


def test_prediction_is_a_replay_of_the_calibrate_rows() -> None:
    case = make_instance(7, 4, 3, 3, 200)
    found = find(case, Objective(accuracy_loss=0.05))
    for plan in (found.plan, *(c.plan for c in (*found.alternatives, *found.endpoints))):
        predicted = plan.predicted
        assert predicted is not None
        held_out = case.records.on("calibrate")
        table = cost_table(case.profiles, case.network, plan.codec, 3)
        rows = replay(plan, held_out, table)
        assert predicted.rows == len(held_out)
        assert predicted.accuracy == pytest.approx(rows.correct.mean())
        assert predicted.mean_latency_s == pytest.approx(rows.latency_s.mean())
        assert sum(term.mean_s for term in predicted.terms) == pytest.approx(predicted.mean_latency_s)
        assert predicted.bytes_per_sample == pytest.approx(rows.sent_bytes.mean())
        assert predicted.p50_latency_s <= predicted.p95_latency_s
        assert predicted.accuracy_loss == pytest.approx(predicted.accuracy_last_exit - predicted.accuracy)
        assert sum(predicted.exit_share) == pytest.approx(1)


def test_calibrate_rows_choose_nothing() -> None:
    case = make_instance(11, 3, 3, 3, 120)
    plan = find(case, Objective(accuracy_loss=0.02)).plan
    held_out = case.records.split == "calibrate"
    labels = np.where(held_out, (case.records.labels + 1) % case.records.classes, case.records.labels)
    logits = np.where(held_out[None, :, None], -case.records.logits, case.records.logits)
    changed = Instance(
        type(case.records)(
            logits, labels, case.records.split, case.records.row, case.records.exit_names, case.records.provenance
        ),
        case.profiles,
        case.network,
        case.temperatures,
    )
    assert find(changed, Objective(accuracy_loss=0.02)).plan.plan_id == plan.plan_id


def test_a_device_that_is_fast_enough_keeps_everything() -> None:
    case = make_instance(3, 3, 3, 2, 80)
    profiles = {name: case.profiles["device"].model_copy(update={"tier": name}) for name in case.profiles}
    found = search(case.records, profiles, case.network, Objective(accuracy_loss=0.0), codecs=["raw"])
    assert set(found.plan.placement) == {"device"}
    assert found.plan.evidence is not None
    assert found.plan.evidence.placements == 10
    assert found.why.startswith("everything on device needs")
    assert found.endpoints[0].reason == "this is the chosen plan"


def test_binding_names_what_holds_the_plan_back() -> None:
    case = make_instance(22, 3, 3, 3, 80)
    assert find(case, Objective(accuracy_loss=0.0)).binding == "accuracy_loss"
    assert find(case, Objective(accuracy_loss=1.0)).binding == "none"
    free = find(case, Objective(accuracy_loss=0.02)).plan.predicted
    assert free is not None
    slowest = max(s for s, share in zip(free.exit_latency_s, free.exit_share, strict=True) if share)
    assert find(case, Objective(accuracy_loss=0.02, deadline_s=slowest - 1e-6)).binding == "deadline"


def test_runners_up_send_samples_another_way() -> None:
    case = make_instance(1, 4, 3, 2, 80)
    found = find(case, Objective(accuracy_loss=1.0))  # everything leaves by the first exit
    assert found.plan.predicted is not None
    assert found.plan.predicted.exit_share == (1.0, 0.0)
    reached = cost_table(case.profiles, case.network, "raw", 2).exit_segments[0] + 1
    ways = [candidate.plan.placement[:reached] for candidate in found.alternatives]
    assert len({found.plan.placement[:reached], *ways}) == len(ways) + 1


def test_only_the_placements_given_are_used() -> None:
    case = make_instance(22, 3, 3, 3, 80)
    given = [["device", "edge", "edge"], ["edge", "edge", "cloud"]]
    found = find(case, Objective(), placements=given)
    plans = [found.plan, *(candidate.plan for candidate in found.alternatives)]
    assert {plan.placement for plan in plans} == {tuple(placement) for placement in given}
    assert {point.placement for point in found.front} <= {tuple(placement) for placement in given}
    assert found.plan.evidence is not None
    assert found.plan.evidence.placements == 2


def test_search_result_survives_its_file(tmp_path: Path) -> None:
    found = find(make_instance(2, 3, 2, 2, 60), Objective())
    found.save(tmp_path / "plan.search.json")
    assert load_search_result(tmp_path / "plan.search.json") == found


def test_same_input_same_result() -> None:
    one, two = (find(make_instance(9, 4, 3, 3, 100), Objective()) for _ in range(2))
    assert one == two


@pytest.mark.parametrize("codec", [name for name in codec_names() if not get_codec(name).lossless])
def test_a_codec_that_changes_the_tensors_needs_records_made_through_it(codec: str) -> None:
    case = make_instance(4, 3, 3, 2, 40, codecs=("raw", codec))
    with pytest.raises(ConfigError, match=f"codec '{codec}' changes the tensors"):
        find(case, Objective(), codecs=[codec])
    assert find(case, Objective()).plan.codec == "raw"


def test_records_made_through_a_codec_are_not_taken_for_others() -> None:
    case = make_instance(4, 3, 3, 2, 40)
    coded = replace(case.records, provenance=replace(case.records.provenance, variant="fp32+uint8@1"))
    with pytest.raises(ConfigError, match=r"'fp32\+uint8@1' cannot be the reference"):
        search(coded, case.profiles, case.network)


def test_wrong_input_is_refused_in_one_sentence() -> None:
    case = make_instance(4, 3, 3, 2, 40, codecs=("raw", "uint8"))
    with pytest.raises(RecordMismatch, match="3 temperatures for the 2 exits"):
        search(case.records, case.profiles, case.network, temperatures=[1.0] * 3)
    with pytest.raises(RecordMismatch, match="'cloud cloud' does not fit 3 segments"):
        find(case, Objective(), placements=[["cloud", "cloud"]])
    with pytest.raises(NotEnoughSamples, match="no calibrate rows"):
        search(case.records.on("tune"), case.profiles, case.network)
    lossy = {n: p.model_copy(update={"payloads": p.payloads[3:]}) for n, p in case.profiles.items()}
    with pytest.raises(RecordMismatch, match="no lossless codec"):
        search(case.records, lossy, case.network)
