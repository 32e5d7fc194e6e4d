"""No published planner is faster than the joint search over the same tables."""

from __future__ import annotations

from dataclasses import replace
from importlib.metadata import entry_points

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.errors import PlanInfeasible, RecordMismatch
from offramp.planning.making import make_plan
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from offramp.planning.search import search
from tests.planning.published.oracle import coded_variant, tune_latency
from tests.support.instances import make_instance

PUBLISHED = {
    point.name: point.load()
    for point in entry_points(group="offramp.planners")
    if point.value.startswith("offramp.planning.published.")
}


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    segments=st.integers(1, 4),
    tiers=st.integers(1, 3),
    exits=st.integers(1, 3),
    loss=st.sampled_from([0.0, 0.05, 0.3]),
    deadline_s=st.one_of(st.none(), st.floats(1e-3, 0.05)),
)
def test_none_beats_the_union(
    seed: int, segments: int, tiers: int, exits: int, loss: float, deadline_s: float | None
) -> None:
    case = make_instance(seed, segments, tiers, min(exits, segments), rows=30, codecs=("raw", "zstd"))
    objective = Objective(accuracy_loss=loss, deadline_s=deadline_s)
    tables = (case.records, case.profiles, case.network, objective)
    try:
        ours = tune_latency(case, search(*tables, temperatures=case.temperatures).plan)[0]
    except PlanInfeasible:
        ours = np.inf
    for kind in PUBLISHED.values():
        try:
            plan = kind(case.temperatures).plan(*tables)
        except PlanInfeasible:
            continue
        latency, accuracy = tune_latency(case, plan)
        assert latency >= ours - 1e-9
        assert accuracy >= case.records.on("tune").correct[-1].mean() - loss - 1e-9


@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    loss=st.sampled_from([0.0, 0.1, 0.3]),
    cut=st.integers(0, 2),
    worse=st.sampled_from([0.01, 1.0]),
    size=st.floats(1, 3000),
)
def test_nor_with_variants(seed: int, loss: float, cut: int, worse: float, size: float) -> None:
    case = make_instance(seed, 3, 2, 2, rows=30)
    case = replace(case, network=case.network.with_link(0, bandwidth_bps=1e6))
    coded = coded_variant(case, "uint8", cut, worse, size, seed)
    records, objective = [case.records, coded.records], Objective(accuracy_loss=loss)
    tables = (records, coded.profiles, case.network, objective)

    def latency(plan: Plan) -> float:
        return tune_latency(coded, plan, records[1] if plan.coded else records[0])[0]

    ours = latency(search(*tables, temperatures=case.temperatures).plan)
    for kind in PUBLISHED.values():
        assert latency(kind(case.temperatures).plan(*tables)) >= ours - 1e-9


def test_there_are_nine_of_them() -> None:
    assert len(PUBLISHED) == 9


def test_a_plan_from_a_decision() -> None:
    case = make_instance(8, segments=4, tiers=3, exits=3, rows=120)
    tables = (case.records, case.profiles, case.network, Objective(accuracy_loss=0.05))
    found = search(*tables, temperatures=case.temperatures).plan
    again = make_plan(
        *tables,
        placement=found.placement,
        thresholds=found.thresholds,
        codec=found.codec,
        planner=found.planner,
        temperatures=case.temperatures,
    )
    assert again.predicted == found.predicted
    assert again.plan_id == found.plan_id
    with pytest.raises(RecordMismatch, match="names tier 'moon'"):
        make_plan(*tables, placement=["moon"] * 4, thresholds=[None, None], planner="me")
    with pytest.raises(RecordMismatch, match="1 temperatures for the 3 exits"):
        make_plan(*tables, placement=found.placement, thresholds=[None, None], planner="me", temperatures=[1.0])


@pytest.mark.parametrize("seed", range(12))
def test_nor_with_many_exits_and_few_thresholds_for_each(seed: int) -> None:
    case = make_instance(seed, 6, 2, 6, rows=1200)
    tables = (case.records, case.profiles, case.network, Objective(accuracy_loss=0.01))
    ours = tune_latency(case, search(*tables, temperatures=case.temperatures, alternatives=0).plan)[0]
    for name in ("spinn", "hapi"):
        assert tune_latency(case, PUBLISHED[name](case.temperatures).plan(*tables))[0] >= ours - 1e-9
