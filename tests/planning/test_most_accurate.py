"""In time on every path, and never less accurate than one exit for all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.confidence.settings import exits_taken
from offramp.errors import ConfigError, PlanInfeasible
from offramp.planning.costs import cost_table
from offramp.planning.most_accurate import InTime, MostAccurate
from offramp.planning.replay import plan_thresholds, replay
from offramp.profiles.profile import PayloadCost
from offramp.records.confidences import confidences
from tests.support.instances import Instance, make_instance

CODECS = ("raw", "zstd")
MOST = 400


def planner_of(case: Instance, deadline_s: float, slack: float = 0.0) -> MostAccurate:
    return MostAccurate(
        case.records,
        case.profiles,
        case.network,
        deadline_s,
        slack=slack,
        temperatures=case.temperatures,
        max_settings=MOST,
    )


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    segments=st.integers(1, 5),
    tiers=st.integers(1, 3),
    exits=st.integers(1, 4),
    deadline_s=st.floats(1e-4, 0.1),
    slack=st.sampled_from([0.0, 0.02, 0.2]),
    bandwidth=st.floats(1e4, 1e9),
)
def test_against_every_exit_of_every_placement(
    seed: int, segments: int, tiers: int, exits: int, deadline_s: float, slack: float, bandwidth: float
) -> None:
    case = make_instance(seed, segments, tiers, min(exits, segments), 60, CODECS, levels=2)
    network = case.network
    for link in range(tiers - 1):
        network = network.with_link(link, bandwidth_bps=bandwidth)
    tables = {codec: cost_table(case.profiles, network, codec, case.records.exits) for codec in CODECS}
    in_time = np.stack([table.cost_s for table in tables.values()]) <= deadline_s
    planner = planner_of(case, deadline_s, slack)
    if not in_time.any():
        with pytest.raises(PlanInfeasible, match="the shortest path takes"):
            planner.choose(bandwidth)
        shortest = planner.fastest(planner.cost_s(bandwidth)).longest_s
        assert shortest == pytest.approx(min(table.cost_s[:, 0].min() for table in tables.values()))
        return
    chosen = planner.choose(bandwidth)
    plan = planner.plan_of(chosen)
    assert planner.plan_of(planner.choose(bandwidth)) is plan
    tune = case.records.on("tune")
    rows = replay(plan, tune, tables[plan.codec])
    assert float(rows.correct.mean()) >= chosen.accuracy - slack - 1e-9
    assert float(rows.latency_s.mean()) == pytest.approx(chosen.mean_latency_s)
    deepest = np.flatnonzero(in_time.any((0, 1)))
    best = tune.correct[deepest].mean(1).max()
    assert chosen.accuracy >= best - slack - 1e-9
    # whatever the confidence, no path is too long
    table = tables[plan.codec]
    cost = table.cost_s[table.row_of(plan.placement)]
    least = exits_taken(np.zeros((case.records.exits - 1, 1), np.float32), plan_thresholds(plan))
    assert cost[least].max() == pytest.approx(chosen.longest_s)
    assert chosen.longest_s <= deadline_s + 1e-9
    if slack == 0.0:
        assert chosen.mean_latency_s <= _least_latency(case, planner, in_time, tables, chosen.accuracy) + 1e-9


def _least_latency(case, planner, in_time, tables, accuracy) -> float:  # type: ignore[no-untyped-def]  # local helper
    """Of one exit for all, the fastest that is as accurate."""
    tune = case.records.on("tune").correct.mean(1)
    found = [np.inf]
    for which, table in enumerate(tables.values()):
        for exit_index in np.flatnonzero(tune >= accuracy - 1e-12):
            found += table.cost_s[in_time[which, :, exit_index], exit_index].tolist()
    return float(min(found))


def test_gates_take_the_place_of_an_exit_only_where_they_are_better() -> None:
    gated = 0
    for seed in range(20):
        case = make_instance(seed, 3, 2, 3, 400)
        planner = planner_of(case, 10.0)
        plan = planner.plan_of(planner.choose())
        held_out = case.records.on("calibrate")
        taken = exits_taken(confidences(held_out, case.temperatures), plan_thresholds(plan))
        last = [*(gate.threshold == 0 for gate in plan.gates), True].index(True)
        gained = held_out.correct[taken, np.arange(len(held_out))].astype(int) - held_out.correct[last]
        assert gained.sum() >= 1.6 * np.sqrt(np.abs(gained).sum())
        gated += plan.thresholds[:last] != (None,) * last
    assert gated > 0


def test_one_exit_for_all_is_always_among_the_plans() -> None:
    for seed in range(10):
        case = make_instance(seed, 4, 2, 4, 120)
        planner = planner_of(case, 10.0)
        accuracy = case.records.on("tune").correct.mean(1)
        alone = [
            plan.thresholds
            for row in (int(planner._rows[0]),)
            for plan in (planner.plan_of(InTime(row, setting, 0, 0, 0)) for setting in planner._settings.tolist())
        ]
        for exit_index in range(4):
            whole = tuple(0.0 if index == exit_index else None for index in range(3))
            assert planner._accuracy[alone.index(whole)] == pytest.approx(accuracy[exit_index])


def test_a_lossy_variant_is_there_where_nothing_else_is_in_time() -> None:
    case = make_instance(5, 3, 2, 2, 400)
    payloads = [PayloadCost(cut=cut, codec="jpeg", payload_bytes=10.0, encode_s=0.0, decode_s=0.0) for cut in range(3)]
    profiles = {
        tier: profile.model_copy(update={"payloads": (*profile.payloads, *payloads)})
        for tier, profile in case.profiles.items()
    }
    worse = case.records.logits.copy()
    worse[:, ::21] = -worse[:, ::21]  # five rows of a hundred are wrong now
    lossy = replace(case.records, logits=worse, provenance=replace(case.records.provenance, variant="fp32+jpeg@0"))
    options = {"temperatures": case.temperatures, "max_settings": MOST}
    away = [("edge", "edge", "edge")]
    both = MostAccurate([case.records, lossy], profiles, case.network, 10.0, placements=away, **options)  # type: ignore[arg-type]  # keywords
    assert both.plan_of(both.choose(1e6)).coded == {}
    tight = both.fastest(both.cost_s(1e4))
    assert both.plan_of(tight).coded == {0: "jpeg"}
    squeezed = both.choose(1e4, deadline_s=1.01 * tight.longest_s)
    assert both.plan_of(squeezed).coded == {0: "jpeg"}
    assert squeezed.accuracy < both.choose(1e6).accuracy


@settings(max_examples=80, deadline=None)
@given(seed=st.integers(0, 2**20), deadline_s=st.floats(1e-4, 0.05), bandwidth=st.floats(1e5, 1e9))
def test_a_guarded_plan_leaves_the_device_time_for_an_exit(seed: int, deadline_s: float, bandwidth: float) -> None:
    case = make_instance(seed, 4, 2, 2, 60)
    planner = MostAccurate(
        case.records,
        case.profiles,
        case.network,
        deadline_s,
        guarded=True,
        temperatures=case.temperatures,
        max_settings=MOST,
    )
    device = case.profiles["device"]
    first = device.exit_segments[0]
    seconds = [cost.median_s for cost in device.segments]
    try:
        chosen = planner.choose(bandwidth)
    except PlanInfeasible:
        least_s = planner_of(case, 1.0).fastest(planner.cost_s(bandwidth)).longest_s
        assert least_s > deadline_s - sum(seconds[: first + 1])
        return
    cut = planner.plan_of(chosen).placement.count("device")
    rescue_s = sum(seconds[cut : first + 1])
    assert chosen.longest_s <= deadline_s - (rescue_s if rescue_s < deadline_s else 0.0) + 1e-9


def test_an_outage_leaves_the_device() -> None:
    case = make_instance(1, 3, 2, 2, 60)
    planner = planner_of(case, 10.0)
    assert set(planner.plan_of(planner.choose(0.0)).placement) == {"device"}
    away = MostAccurate(case.records, case.profiles, case.network, 10.0, placements=[("edge",) * 3])
    with pytest.raises(PlanInfeasible):
        away.choose(0.0)
    with pytest.raises(PlanInfeasible, match="a link is down"):
        away.fastest(away.cost_s(0.0))


def test_wrong_input_is_refused() -> None:
    case = make_instance(1, 3, 2, 2, 60)
    with pytest.raises(ConfigError, match=r"slack must lie in \[0, 1\)"):
        planner_of(case, 1.0, slack=1.0)
    with pytest.raises(ConfigError):
        planner_of(case, 1.0).choose(float("nan"))
