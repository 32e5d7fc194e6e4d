"""Re-planning finds what a full search on the same network finds."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.confidence.risks import AccuracyLoss
from offramp.errors import ConfigError, PlanInfeasible
from offramp.links.network import Network
from offramp.planning.bound_tree import BoundTree
from offramp.planning.coefficients import coefficients
from offramp.planning.costs import cost_table
from offramp.planning.objective import Objective
from offramp.planning.replanner import Choice, Replanner
from offramp.planning.search import search
from offramp.planning.vertices import lower_vertices, tail_shares
from offramp.profiles.profile import Profile
from offramp.records.certify import certify
from tests.planning.test_search import MOST, tune_latency
from tests.support.instances import Instance, make_instance

CODECS = ("raw", "zstd")
SPEED = st.floats(1e4, 1e9)
DELAY = st.floats(0.0, 0.2)


def replanner_of(case: Instance, objective: Objective | None = None, **more: object) -> Replanner:
    return Replanner(
        case.records,
        case.profiles,
        case.network,
        objective,
        temperatures=case.temperatures,
        max_settings=MOST,
        **more,  # type: ignore[arg-type]  # keywords of search, passed on
    )


def loaded(profile: Profile, load: float) -> Profile:
    slower = [cost.model_copy(update={"median_s": cost.median_s * load}) for cost in profile.segments]
    return profile.model_copy(update={"segments": tuple(slower)})


def changed(case: Instance, bandwidth: list[float], rtt: list[float], load: list[float]) -> Instance:
    network = case.network
    for link, (rate, delay) in enumerate(zip(bandwidth, rtt, strict=True)):
        network = network.with_link(link, bandwidth_bps=rate, rtt_s=delay)
    profiles = {
        name: loaded(case.profiles[name], factor) for name, factor in zip(network.tier_names, load, strict=True)
    }
    return Instance(case.records, profiles, network, case.temperatures)


@settings(max_examples=120, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    segments=st.integers(1, 5),
    tiers=st.integers(1, 3),
    exits=st.integers(1, 4),
    loss=st.sampled_from([0.0, 0.02, 0.1, 1.0]),
    deadline_s=st.one_of(st.none(), st.floats(1e-4, 0.3)),
    quantile=st.sampled_from([1.0, 0.95, 0.8, 0.5]),
    levels=st.sampled_from([0, 2]),
    data=st.data(),
)
def test_replan_equals_search(
    seed: int,
    segments: int,
    tiers: int,
    exits: int,
    loss: float,
    deadline_s: float | None,
    quantile: float,
    levels: int,
    data: st.DataObject,
) -> None:
    case = make_instance(seed, segments, tiers, min(exits, segments), 50, CODECS, levels)
    objective = Objective(accuracy_loss=loss, deadline_s=deadline_s, deadline_quantile=quantile)
    replanner = replanner_of(case, objective)
    links = tiers - 1
    for _ in range(3):  # the answer must not depend on the one before
        bandwidth = data.draw(st.lists(SPEED, min_size=links, max_size=links))
        rtt = data.draw(st.lists(DELAY, min_size=links, max_size=links))
        load = data.draw(st.lists(st.floats(0.1, 20.0), min_size=tiers, max_size=tiers))
        now = changed(case, bandwidth, rtt, load)
        try:
            found = search(
                now.records,
                now.profiles,
                now.network,
                objective,
                temperatures=now.temperatures,
                max_settings=MOST,
                alternatives=0,
            ).plan
        except PlanInfeasible as error:
            with pytest.raises(PlanInfeasible, match=f"^{re.escape(str(error))}$"):
                replanner.replan(bandwidth, rtt, load)
            continue
        choice = replanner.replan(bandwidth, rtt, load)
        expected = tune_latency(now, found)[0]
        assert choice.value == pytest.approx(expected, rel=1e-9, abs=1e-11)
        plan = replanner.plan_of(choice)
        latency_s, accuracy = tune_latency(now, plan)
        assert latency_s == pytest.approx(expected, rel=1e-9, abs=1e-11)
        assert float(case.records.on("tune").correct[-1].mean()) - accuracy <= loss + 1e-9


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**20), rows=st.integers(1, 3000), limited=st.booleans(), whole=st.booleans())
def test_tree_equals_a_look_at_all_rows(seed: int, rows: int, limited: bool, whole: bool) -> None:
    rng = np.random.default_rng(seed)
    table, limits = rng.uniform(0, 1, (rows, 5)), rng.uniform(0, 1, (rows, 2, 5))
    if whole:
        table = np.round(table * 2)
    most = np.array([1.2, 1.5]) if limited else None
    tree = BoundTree.of(table, np.arange(rows), np.ones(5), limits, most)
    for _ in range(5):
        x = rng.uniform(0, 1, 5)
        value = table @ x if most is None else np.where((limits @ x <= most).all(1), table @ x, np.inf)
        index, least = tree.least(x, ceiling=float(value[rng.integers(rows)]))
        assert least == pytest.approx(value.min(), rel=1e-12)
        if np.isfinite(least):
            assert index == np.flatnonzero(value <= value.min() + 1e-13)[0]
        else:
            assert index == -1


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**20), columns=st.integers(1, 4), rows=st.integers(1, 60))
def test_no_weights_make_a_dropped_point_the_lowest(seed: int, columns: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    points = np.round(rng.uniform(0, 1, (rows, columns)), 1)
    kept = lower_vertices(points)
    weights = rng.exponential(size=(50, columns)) * (rng.random((50, columns)) < 0.7)
    assert (points[kept] @ weights.T).min(0) == pytest.approx((points @ weights.T).min(0))


def test_hull_is_small() -> None:
    angle = np.linspace(0, np.pi / 2, 9)
    arc = 1 - np.stack([np.sin(angle), np.cos(angle)], axis=1)
    inside = arc + 0.05
    assert lower_vertices(np.vstack([inside, arc])).tolist() == list(range(9, 18))
    assert tail_shares(np.ones((2, 1))).shape == (2, 0)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**20), tiers=st.integers(1, 4), rate=SPEED, delay=DELAY, load=st.floats(0.1, 20.0))
def test_costs_are_linear(seed: int, tiers: int, rate: float, delay: float, load: float) -> None:
    case = make_instance(seed, 4, tiers, 3)
    replanner = replanner_of(case)
    before = coefficients(cost_table(case.profiles, case.network, "raw", 3), case.network)
    assert (before >= 0).all()
    now = changed(case, [rate] * (tiers - 1), [delay] * (tiers - 1), [load] * tiers)
    vector, within = replanner.vector(rate, delay, load)
    assert within == tiers
    assert before @ vector == pytest.approx(cost_table(now.profiles, now.network, "raw", 3).cost_s)


def test_an_outage_leaves_what_needs_no_link() -> None:
    case = make_instance(5, 4, 3, 3, 80, CODECS)
    replanner = replanner_of(case, Objective(accuracy_loss=0.02))
    for bandwidth, most in (([0.0, 1e9], 0), ([0.0, 0.0], 0), ([1e9, 0.0], 1)):
        choice = replanner.replan(bandwidth, 0.0)
        used = replanner.plan_of(choice).placement
        assert {case.network.tier_names.index(tier) for tier in used} <= set(range(most + 1))
        assert np.isfinite(choice.value)
    alone = replanner.replan([0.0, 1e9])
    assert alone == replanner.replan([0.0, 1e3], 9.0)
    far = [("cloud",) * 4]
    with pytest.raises(PlanInfeasible, match=r"link device-edge is down and no placement allowed"):
        replanner_of(case, placements=far).replan([0.0, 1e6])


def test_an_outage_keeps_the_deadline() -> None:
    case = make_instance(5, 4, 2, 3, 80)
    free = replanner_of(case).replan(0.0)
    with pytest.raises(PlanInfeasible, match="no plan answers within"):
        replanner_of(case, Objective(deadline_s=free.value / 50)).replan(0.0)


def test_plan_of_predicts_for_the_network_asked_for() -> None:
    case = make_instance(9, 3, 2, 2, 200)
    replanner = replanner_of(case, Objective(accuracy_loss=0.02))
    slow = case.network.with_link(0, bandwidth_bps=1e5)
    choice = replanner.replan(1e5)
    plan = replanner.plan_of(choice, slow)
    whole = search(
        case.records,
        case.profiles,
        slow,
        Objective(accuracy_loss=0.02),
        temperatures=case.temperatures,
        max_settings=MOST,
    )
    assert plan.plan_id == whole.plan.plan_id
    assert plan.predicted == whole.plan.predicted
    assert replanner.plan_of(choice).plan_id == plan.plan_id


def test_any_member_of_a_certificate_may_be_chosen() -> None:
    case = make_instance(9, 3, 2, 2, 4000)
    certificate = certify(case.records, [AccuracyLoss(0.05)], 0.05, temperatures=case.temperatures)
    replanner = replanner_of(case, Objective(accuracy_loss=0.05), certificate=certificate)
    for rate in (1e4, 1e6, 1e9):
        plan = replanner.plan_of(replanner.replan(rate))
        assert plan.certificate == certificate  # a plan refuses gates that its certificate does not cover


def test_the_same_again_whatever_was_asked_before() -> None:
    case = make_instance(34, 6, 3, 4, 60, CODECS, 2)
    used, rates = replanner_of(case), np.logspace(4, 9, 12)
    pairs = list(itertools.product(rates.tolist(), rates.tolist()))
    first = [used.replan(pair) for pair in pairs]
    assert [used.replan(pair) for pair in pairs[::-1]] == first[::-1]
    assert first == [replanner_of(case).replan(pair) for pair in pairs[:2]] + first[2:]
    assert len({choice.index for choice in first}) > 1


def test_repr_and_defaults() -> None:
    case = make_instance(3, 3, 2, 2, 60)
    replanner = replanner_of(case)
    link = case.network.links[0]
    assert replanner.replan() == replanner.replan(link.bandwidth_bps, link.rtt_s, [1.0, 1.0])
    assert isinstance(replanner.replan(), Choice)
    assert repr(replanner) == f"Replanner('made-up', 'made-up', {len(replanner)} pairs)"
    one = Network(case.network.tiers[:1])
    assert Replanner(case.records, case.profiles, one).replan().index >= 0


@pytest.mark.parametrize(
    ("given_", "words"),
    [
        ({"bandwidth_bps": -1.0}, "bandwidth_bps must be a number of zero or more"),
        ({"bandwidth_bps": float("nan")}, "bandwidth_bps must be"),
        ({"bandwidth_bps": [1e6, 1e6]}, "bandwidth_bps: 2 numbers for 1"),
        ({"rtt_s": float("inf")}, "rtt_s must be"),
        ({"load": 0.0}, "load must be above zero"),
        ({"load": [1.0]}, "load: 1 numbers for 2"),
    ],
)
def test_bad_conditions_are_refused(given_: dict[str, float | list[float]], words: str) -> None:
    replanner = replanner_of(make_instance(3, 3, 2, 2, 60))
    with pytest.raises(ConfigError, match=words):
        replanner.replan(**given_)
