"""Planners with one threshold (SPINN, HAPI) or one codec (JALAD) find the best of their own space."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.confidence.settings import evaluate
from offramp.errors import ConfigError, PlanInfeasible
from offramp.planning.base import Planner
from offramp.planning.costs import cost_table
from offramp.planning.objective import Objective
from offramp.planning.published.hapi import Hapi
from offramp.planning.published.jalad import Jalad
from offramp.planning.published.spinn import Spinn
from offramp.records.confidences import confidences
from tests.planning.published.oracle import coded_variant, cuts, tune_latency
from tests.support.instances import Instance, make_instance

Subsets = list[tuple[bool, ...]]


def fastest(
    case: Instance, placements: list[tuple[str, ...]], subsets: list[tuple[bool, ...]], goal: Objective
) -> float:
    """Least mean latency over every threshold that tells rows apart."""
    tune = case.records.on("tune")
    score = confidences(tune, case.temperatures)
    values = np.unique(score)
    ends = [0.0, *((values[1:].astype(float) + values[:-1]) / 2), np.inf]
    table = cost_table(case.profiles, case.network, "raw", case.records.exits)
    least = np.inf
    for subset, threshold in itertools.product(subsets, ends):
        setting = np.where(np.array(subset, bool), threshold, np.inf)[None]
        share, accuracy = evaluate(score, tune.correct, setting)
        if accuracy[0] < tune.correct[-1].mean() - goal.accuracy_loss - 1e-9:
            continue
        for placement in placements:
            cost = table.cost_s[table.row_of(placement)]
            late = 0.0 if goal.deadline_s is None else share[0] @ (cost > goal.deadline_s)
            if late <= 1 - goal.deadline_quantile + 1e-9:
                least = min(least, float(share[0] @ cost))
    return least


GOALS = [Objective(accuracy_loss=0.05), Objective(accuracy_loss=0.2, deadline_s=0.01, deadline_quantile=0.7)]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**20), exits=st.integers(1, 3), goal=st.sampled_from(GOALS))
def test_spinn_and_hapi_are_exhaustive(seed: int, exits: int, goal: Objective) -> None:
    case = make_instance(seed, segments=3, tiers=2, exits=exits, rows=40)
    early = exits - 1
    device: list[tuple[str, ...]] = [("device",) * 3]
    spaces: list[tuple[Planner, list[tuple[str, ...]], Subsets]] = [
        (Spinn(case.temperatures), cuts(3, "device", "edge"), [(True,) * early]),
        (Hapi(case.temperatures), device, list(itertools.product((False, True), repeat=early))),
    ]
    for planner, placements, subsets in spaces:
        least = fastest(case, placements, subsets, goal)
        if least == np.inf:
            with pytest.raises(PlanInfeasible, match=f"{planner.name}: no plan answers within"):
                planner.plan(case.records, case.profiles, case.network, goal)
            continue
        plan = planner.plan(case.records, case.profiles, case.network, goal)
        latency, accuracy = tune_latency(case, plan)
        assert latency == pytest.approx(least)
        assert accuracy >= case.records.on("tune").correct[-1].mean() - goal.accuracy_loss - 1e-9
        assert len({threshold for threshold in plan.thresholds if threshold is not None}) <= 1


def test_the_order_of_spinns_goals() -> None:
    case = make_instance(8, segments=4, tiers=2, exits=3, rows=200)
    goal = Objective(accuracy_loss=0.05)
    by_server = Spinn(case.temperatures, goals=["server", "latency"]).plan(
        case.records, case.profiles, case.network, goal
    )
    assert set(by_server.placement) == {"device"}  # a server that does nothing costs nothing
    by_accuracy = Spinn(case.temperatures, goals=["accuracy", "latency"]).plan(
        case.records, case.profiles, case.network, goal
    )
    by_latency = Spinn(case.temperatures).plan(case.records, case.profiles, case.network, goal)
    assert tune_latency(case, by_accuracy)[1] >= tune_latency(case, by_latency)[1]
    assert tune_latency(case, by_latency)[0] <= tune_latency(case, by_server)[0]
    for goals in ([], ["speed"]):
        with pytest.raises(ConfigError, match="goals are some of latency"):
            Spinn(goals=goals)


def test_hapi_on_another_tier() -> None:
    case = make_instance(8, segments=4, tiers=3, exits=3, rows=200)
    assert set(Hapi(tier="edge").plan(case.records, case.profiles, case.network, Objective()).placement) == {"edge"}
    with pytest.raises(ConfigError, match="unknown tier"):
        Hapi(tier="egde").plan(case.records, case.profiles, case.network, Objective())


def test_certificates_are_refused() -> None:
    case = make_instance(8)
    with pytest.raises(ConfigError, match="planner 'spinn' certifies nothing"):
        Spinn().plan(case.records, case.profiles, case.network, Objective(confidence=0.9))


def test_jalad_without_variants_is_one_cut() -> None:
    case = make_instance(8, segments=4, tiers=2, rows=200)
    plan = Jalad().plan([case.records], case.profiles, case.network, Objective())
    table = cost_table(case.profiles, case.network, "raw", 3)
    least = min(table.cost_s[table.row_of(p), -1] for p in cuts(4, "device", "edge"))
    assert tune_latency(case, plan)[0] == pytest.approx(least)


@pytest.mark.parametrize(("worse", "taken"), [(0.01, True), (5.0, False)])
def test_jalad_takes_fewer_bits_where_accuracy_allows(worse: float, taken: bool) -> None:
    case = make_instance(8, segments=4, tiers=2, rows=400)
    slow = Instance(case.records, case.profiles, case.network.with_link(0, bandwidth_bps=2e6), case.temperatures)
    small = coded_variant(slow, "uint8", 1, worse, size=10.0)
    plan = Jalad().plan([slow.records, small.records], small.profiles, slow.network, Objective(accuracy_loss=0.02))
    assert (plan.coded == {1: "uint8"}) == taken
    assert plan.predicted is not None
    last = case.records.on("calibrate").correct[-1].mean()
    assert plan.predicted.accuracy_last_exit == last
    if taken:
        assert plan.placement == ("device", "edge", "edge", "edge")
        assert plan.precision == "fp32"
        alone = Jalad().plan(slow.records, small.profiles, slow.network, Objective(accuracy_loss=0.02))
        assert tune_latency(small, plan, small.records)[0] < tune_latency(slow, alone)[0]


def test_spinn_packs_where_that_pays() -> None:
    case = make_instance(8, segments=4, tiers=2, rows=400)
    slow = Instance(case.records, case.profiles, case.network.with_link(0, bandwidth_bps=2e6), case.temperatures)
    small = coded_variant(slow, "uint8", 1, 0.01, size=10.0)
    goal = Objective(accuracy_loss=0.05)
    packed = Spinn().plan([slow.records, small.records], small.profiles, slow.network, goal)
    alone = Spinn().plan(slow.records, small.profiles, slow.network, goal)
    assert packed.coded in ({1: "uint8"}, {})
    seen = small.records if packed.coded else slow.records
    assert tune_latency(small, packed, seen)[0] <= tune_latency(slow, alone)[0]
