"""Edgent equals the exhaustive optimum of its own space; its runtime follows the link."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.errors import ConfigError, PlanInfeasible, SampleError
from offramp.links.change_point import ChangeDetector
from offramp.links.network import Network, Tier
from offramp.planning.objective import Objective
from offramp.planning.published.bandwidth_states import BandwidthState, nearest_state, usual_states
from offramp.planning.published.configurator import Configurator
from offramp.planning.published.edgent import Edgent, edge_front
from offramp.planning.published.edgent_dynamic import EdgentDynamic
from tests.planning.published.oracle import cost_of, cuts
from tests.support.instances import Instance, make_instance

CASE = make_instance(8, segments=4, tiers=2, exits=3, rows=400)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    segments=st.integers(1, 5),
    tiers=st.integers(1, 3),
    exits=st.integers(1, 4),
    slack=st.floats(0.5, 3.0),
    loss=st.sampled_from([0.0, 0.1, 1.0]),
)
def test_it_takes_the_deepest_exit_in_time_and_its_best_cut(
    seed: int, segments: int, tiers: int, exits: int, slack: float, loss: float
) -> None:
    case = make_instance(seed, segments, tiers, min(exits, segments), codecs=("raw", "zstd"))
    names, early = case.network.tier_names, case.records.exits - 1
    best = [
        min(cost_of(case, p, codec, e) for codec in ("raw", "zstd") for p in cuts(segments, names[0], names[-1]))
        for e in range(early + 1)
    ]
    accuracy = case.records.on("tune").correct.mean(1)
    deadline_s = slack * best[0]
    objective = Objective(accuracy_loss=loss, deadline_s=deadline_s)
    enough = [e for e in range(early + 1) if accuracy[e] >= accuracy[-1] - loss - 1e-9 and best[e] <= deadline_s]
    if not enough:
        with pytest.raises(PlanInfeasible, match="edgent: no plan answers within"):
            Edgent().plan(case.records, case.profiles, case.network, objective)
        return
    plan = Edgent().plan(case.records, case.profiles, case.network, objective)
    chosen = next((e for e, threshold in enumerate(plan.thresholds) if threshold is not None), early)
    assert chosen == max(enough)
    assert plan.predicted is not None
    assert plan.predicted.exit_share[chosen] == 1.0
    assert plan.predicted.mean_latency_s == pytest.approx(best[chosen])
    assert plan.predicted.accuracy == case.records.on("calibrate").correct[chosen].mean()


def test_deeper_exits_as_the_link_gets_faster() -> None:
    deepest = []
    for bandwidth_bps in np.geomspace(1e5, 1e8, 20):
        network = CASE.network.with_link(0, bandwidth_bps=float(bandwidth_bps))
        objective = Objective(accuracy_loss=1.0, deadline_s=0.02)
        try:
            plan = Edgent().plan(CASE.records, CASE.profiles, network, objective)
        except PlanInfeasible:
            deepest.append(-1)
            continue
        deepest.append(plan.thresholds.index(0.0) if 0.0 in plan.thresholds else 2)
    assert deepest == sorted(deepest)
    assert len(set(deepest)) > 1


def edge_front_by_hand(case: Instance, exit_: int, cut: int) -> float:
    device, edge = case.profiles["device"], case.profiles["edge"]
    link, segment = case.network.links[0], (device.exit_segments)[exit_]
    front = min(cut, segment + 1)
    seconds = sum(edge.segments[j].median_s for j in range(front))
    seconds += sum(device.segments[j].median_s for j in range(front, segment + 1))
    if front:
        up, transport = device.payload(0, "raw"), device.transport
        seconds += up.encode_s + edge.payload(0, "raw").decode_s + link.rtt_s + transport.hop_s
        seconds += link.transfer_s(up.payload_bytes + transport.request_overhead_bytes)
        if front <= segment:
            seconds += edge.payload(front, "raw").encode_s + device.payload(front, "raw").decode_s
            seconds += link.transfer_s(edge.payload(front, "raw").payload_bytes)
        else:
            seconds += link.transfer_s(transport.answer_bytes)
    return seconds


def test_the_layout_of_the_paper() -> None:
    found = edge_front(CASE.profiles, CASE.network, 3)
    for exit_ in range(3):
        for cut in range(5):
            assert found.latency_s[exit_, cut] == pytest.approx(edge_front_by_hand(CASE, exit_, cut))
    assert found.choose(1e9) == (2, int(found.latency_s[2].argmin()))
    assert found.choose(1e-9) is None
    first = float(found.latency_s[0].min())
    assert found.choose(first) == (0, int(found.latency_s[0].argmin())) or found.latency_s[1].min() <= first


@pytest.mark.parametrize("unit", [1.0, 1e-3])
@pytest.mark.parametrize("deadline_s", [None, 0.02])
def test_the_map_has_the_highest_reward_in_every_state(unit: float, deadline_s: float | None) -> None:
    planner = EdgentDynamic(reward_unit_s=unit)
    objective = Objective(accuracy_loss=1.0, deadline_s=deadline_s)
    space = planner.space(CASE.records, CASE.profiles, CASE.network, objective)
    accuracy = CASE.records.on("tune").correct.mean(1)
    states = usual_states(1e5, 1e8, 8)
    for state, (row, chosen) in zip(states, planner.map(space, states), strict=True):
        network = CASE.network.with_link(0, bandwidth_bps=state.effective_bps)
        there = Instance(CASE.records, CASE.profiles, network, CASE.temperatures)
        t = np.array([[cost_of(there, p, "raw", e) for e in range(3)] for p in cuts(4, "device", "edge")])
        reward = np.where(t <= (deadline_s or math.inf), np.exp(accuracy) + unit / t, 0.0)
        if reward.any():
            assert reward[row, chosen] == pytest.approx(reward.max())
        else:
            assert t[row, chosen] == pytest.approx(t.min())


def test_log_normal_bandwidths_take_the_effective_one() -> None:
    state = BandwidthState(2e6, 1e6)
    sigma2 = math.log(1 + (state.std_bps / state.mean_bps) ** 2)
    drawn = np.random.default_rng(0).lognormal(math.log(state.mean_bps) - sigma2 / 2, math.sqrt(sigma2), 400_000)
    assert 1 / np.mean(1 / drawn) == pytest.approx(state.effective_bps, rel=0.01)


def test_the_configurator_follows_the_link() -> None:
    objective = Objective(accuracy_loss=1.0, deadline_s=0.02)
    network = CASE.network.with_link(0, bandwidth_bps=5e7)
    planner = EdgentDynamic(reward_unit_s=1e-6)  # accuracy decides, not throughput
    running = planner.configurator(CASE.records, CASE.profiles, network, objective)
    fast = running.current
    assert not any(running.observe(5e7) for _ in range(60))
    assert running.current is fast
    switched = [running.observe(1e5) for _ in range(15)]
    assert any(switched)
    assert running.state.mean_bps < 1e6
    assert running.current.placement == ("device",) * 4
    running.observe(0.0)
    with pytest.raises(SampleError):
        running.observe(float("nan"))
    assert "plans" in repr(running)


def test_a_steady_noisy_link_keeps_its_plan() -> None:
    running = EdgentDynamic().configurator(CASE.records, CASE.profiles, CASE.network, Objective())
    noise = np.random.default_rng(1).lognormal(0.0, 0.1, 200) * CASE.network.links[0].bandwidth_bps
    assert sum(running.observe(float(one)) for one in noise) <= 1


def test_states() -> None:
    states = usual_states(1e5, 1e7, 3)
    assert len(states) == 12
    assert nearest_state(states, 1.1e6, 2.4e5) == 5
    with pytest.raises(ConfigError, match="no bandwidth"):
        BandwidthState(0.0)
    with pytest.raises(ConfigError, match="do not fit"):
        Configurator(states, [], 0)
    with pytest.raises(ConfigError, match="reward_unit_s above zero"):
        EdgentDynamic(reward_unit_s=0.0)
    with pytest.raises(ConfigError, match="link 3"):
        EdgentDynamic(link=3).plan(CASE.records, CASE.profiles, CASE.network, Objective())
    given_states = EdgentDynamic(states=states[:1])
    assert (
        eval(repr(given_states), {"EdgentDynamic": EdgentDynamic, "BandwidthState": BandwidthState}).states
        == (states[:1])
    )
    detector = ChangeDetector(expected_run=50.0)
    running = EdgentDynamic().configurator(CASE.records, CASE.profiles, CASE.network, Objective(), detector)
    assert running.detector is detector


def test_one_tier_has_no_link_to_move() -> None:
    alone = Network((Tier("device"),), ())
    plan = EdgentDynamic().plan(CASE.records, CASE.profiles, alone, Objective())
    assert set(plan.placement) == {"device"}
