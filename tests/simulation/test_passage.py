"""Arrays and events tell the same story."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.links.trace import Trace, constant
from offramp.planning.replay import replay_exits
from offramp.simulation.arrivals import evenly, poisson
from offramp.simulation.byte_curve import ByteCurve
from offramp.simulation.fifo import fifo, fifo_link
from offramp.simulation.journey import journeys
from offramp.simulation.passage import passage
from offramp.simulation.world import World
from tests.simulation.test_simulate import any_plan
from tests.support.instances import make_instance

STEPS = st.lists(st.tuples(st.floats(0.01, 3.0), st.sampled_from([0.0, 1e4, 3e5, 8e6])), min_size=1, max_size=8)


def trace_of(steps: list[tuple[float, float]], loop: bool) -> Trace:
    time_s = np.concatenate(([0.0], np.cumsum([length for length, _ in steps])))
    rates = [bps for _, bps in steps] + [5e5]  # no trace ends in an outage
    return Trace(tuple(time_s.tolist()), tuple(rates), loop=loop)


@given(steps=STEPS, loop=st.booleans(), times=st.lists(st.floats(0, 40), min_size=1, max_size=10))
def test_curve_and_trace_carry_the_same_bytes(steps: list[tuple[float, float]], loop: bool, times: list[float]) -> None:
    trace = trace_of(steps, loop)
    curve = ByteCurve(trace)
    carried = curve.carried(np.array(times))
    assert carried == pytest.approx([trace.bytes_between(0.0, at) for at in times], rel=1e-9, abs=1e-6)
    wanted = np.array(times) * 1e4 + 1.0
    assert curve.time_of(wanted) == pytest.approx([trace.finish_s(0.0, each) for each in wanted.tolist()], abs=1e-9)


def test_a_dead_link_carries_nothing() -> None:
    assert np.isinf(ByteCurve(constant(0.0)).time_of(np.array([1.0]))).all()
    assert np.isinf(ByteCurve(Trace((0.0, 1.0), (0.0, 0.0), loop=True)).time_of(np.array([1.0]))).all()


@given(seed=st.integers(0, 2**20), jobs=st.integers(0, 40))
def test_fifo_is_lindleys_recursion(seed: int, jobs: int) -> None:
    rng = np.random.default_rng(seed)
    arrival, work = np.sort(rng.uniform(0, 10, jobs)), rng.exponential(0.3, jobs)
    end, free = fifo(arrival, work), 0.0
    for index in range(jobs):
        free = max(free, arrival[index]) + work[index]
        assert end[index] == pytest.approx(free, abs=1e-12)


@given(seed=st.integers(0, 2**20), steps=STEPS, loop=st.booleans())
def test_messages_over_a_trace_go_one_by_one(seed: int, steps: list[tuple[float, float]], loop: bool) -> None:
    rng = np.random.default_rng(seed)
    trace = trace_of(steps, loop)
    arrival = np.sort(rng.uniform(0, 20, 15))
    size = np.where(rng.random(15) < 0.2, 0.0, rng.uniform(0, 5e4, 15))
    end, free = fifo_link(arrival, size, ByteCurve(trace)), 0.0
    for index in range(15):
        free = trace.finish_s(max(free, arrival[index]), size[index])
        assert end[index] == pytest.approx(free, abs=1e-9)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    segments=st.integers(1, 5),
    tiers=st.integers(1, 4),
    rate_hz=st.floats(0.5, 2000),
    steps=STEPS,
    loop=st.booleans(),
    data=st.data(),
)
def test_arrays_equal_events(
    seed: int,
    segments: int,
    tiers: int,
    rate_hz: float,
    steps: list[tuple[float, float]],
    loop: bool,
    data: st.DataObject,
) -> None:
    case = make_instance(seed, segments, tiers, data.draw(st.integers(1, segments)), rows=40)
    rng = np.random.default_rng(seed)
    plan = any_plan(case, rng)
    ways = journeys(plan, case.profiles, case.network)
    moving = trace_of(steps, loop)
    rates = [moving if rng.random() < 0.5 else constant(link.bandwidth_bps) for link in case.network.links]
    arrival = poisson(rate_hz, 40, rng) if rng.random() < 0.8 else evenly(rate_hz, 40)
    taken = replay_exits(plan, case.records)
    world, done_s = World(case.network, rates), np.zeros(40)

    def back(sample: int) -> None:
        done_s[sample] = world.events.now_s

    for sample in range(40):
        way = ways[taken[sample]]
        world.events.at(arrival[sample], lambda w=way, s=sample: world.send(w, lambda: back(s)))  # type: ignore[misc]  # binds the loop's values
    world.events.run()
    found = passage(ways, taken, arrival, rates, tiers)
    np.testing.assert_allclose(found.done_s, done_s, rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.busy_s, [tier.busy_s for tier in world.tiers], rtol=0, atol=1e-9)
