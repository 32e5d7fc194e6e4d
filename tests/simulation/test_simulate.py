"""Virtual time agrees with the planner where nothing waits, and queues where something does."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.confidence.gates import MarginGate, ThresholdGate
from offramp.errors import ConfigError, LinkDown, RecordMismatch
from offramp.links.trace import Trace, constant
from offramp.planning.costs import cost_table
from offramp.planning.objective import Objective
from offramp.planning.plan import GateSpec, Plan
from offramp.planning.replay import replay
from offramp.planning.search import search
from offramp.simulation.arrivals import evenly, poisson
from offramp.simulation.simulate import simulate
from tests.support.instances import FINGERPRINT, Instance, make_instance


def any_plan(case: Instance, rng: np.random.Generator, codec: str = "raw") -> Plan:
    """A random valid plan, good or not."""
    segments = len(case.profiles["device"].segments)
    tiers = case.network.tier_names
    placement = np.sort(rng.integers(0, len(tiers), segments))
    gates = [None if rng.random() < 0.2 else float(rng.random()) for _ in range(case.records.exits - 1)]
    return Plan(
        cascade="made-up",
        cascade_fingerprint=FINGERPRINT,
        tiers=tiers,
        placement=tuple(tiers[tier] for tier in placement),
        gates=tuple(GateSpec.of(ThresholdGate(gate) if rng.random() < 0.5 else MarginGate(gate)) for gate in gates),
        temperatures=case.temperatures,
        codec=codec,
    )


@given(seed=st.integers(0, 2**20), segments=st.integers(1, 5), tiers=st.integers(1, 4), data=st.data())
def test_without_queueing_it_is_the_cost_table(seed: int, segments: int, tiers: int, data: st.DataObject) -> None:
    case = make_instance(seed, segments, tiers, data.draw(st.integers(1, segments)), rows=12, codecs=("raw", "zstd"))
    plan = any_plan(case, np.random.default_rng(seed), data.draw(st.sampled_from(["raw", "zstd"])))
    found = simulate(plan, case.records, case.profiles, case.network, evenly(0.1, 12))
    expected = replay(plan, case.records, cost_table(case.profiles, case.network, plan.codec, case.records.exits))
    np.testing.assert_array_equal(found.exit, expected.exit)
    np.testing.assert_array_equal(found.correct, expected.correct)
    np.testing.assert_allclose(found.latency_s, expected.latency_s, rtol=0, atol=1e-11)


@given(seed=st.integers(0, 2**20), rate_hz=st.floats(1, 2000))
def test_queues_only_ever_add_time(seed: int, rate_hz: float) -> None:
    case = make_instance(seed, 3, 3, 2, rows=30)
    plan = any_plan(case, np.random.default_rng(seed))
    alone = replay(plan, case.records, cost_table(case.profiles, case.network, "raw", 2)).latency_s
    arrival = poisson(rate_hz, 30, np.random.default_rng(seed))
    found = simulate(plan, case.records, case.profiles, case.network, arrival)
    assert (found.latency_s >= alone - 1e-11).all()
    assert all(0 <= share <= 1 + 1e-9 for share in found.busy_share.values())
    again = simulate(plan, case.records, case.profiles, case.network, arrival)
    np.testing.assert_array_equal(found.latency_s, again.latency_s)


def test_one_tier_is_a_single_server_queue() -> None:
    """Lindley's recursion, written out, for one tier and one exit."""
    case = make_instance(3, 2, 1, 1, rows=200)
    service = float(cost_table(case.profiles, case.network, "raw", 1).cost_s[0, 0])
    arrival = poisson(0.9 / service, 200, np.random.default_rng(1))
    plan = search(case.records, case.profiles, case.network, Objective()).plan
    found = simulate(plan, case.records, case.profiles, case.network, arrival)
    free = 0.0
    for at, latency in zip(arrival, found.latency_s, strict=True):
        free = max(free, at) + service
        assert latency == pytest.approx(free - at)


def test_an_outage_makes_samples_wait() -> None:
    case = make_instance(2, 2, 2, 1, rows=6)
    plan = any_plan(case, np.random.default_rng(0)).model_copy(update={"placement": ("edge", "edge")})
    rate = case.network.links[0].bandwidth_bps
    arrival = evenly(1.0, 6)
    found = simulate(
        plan,
        case.records,
        case.profiles,
        case.network,
        arrival,
        {"device-edge": Trace((0.0, 2.0, 2.5), (rate, 0.0, rate))},
    )
    calm = simulate(plan, case.records, case.profiles, case.network, arrival)
    waited = found.latency_s - calm.latency_s
    assert waited[2] == pytest.approx(0.5, abs=0.02)
    assert waited[[0, 1, 3, 4, 5]] == pytest.approx(0, abs=1e-9)


def test_a_link_that_never_comes_back_is_an_error() -> None:
    case = make_instance(2, 2, 2, 1, rows=6)
    plan = any_plan(case, np.random.default_rng(0)).model_copy(update={"placement": ("edge", "edge")})
    with pytest.raises(LinkDown, match="ends in an outage"):
        simulate(plan, case.records, case.profiles, case.network, evenly(1.0, 6), {"device-edge": constant(0.0)})


def test_wrong_input_is_refused() -> None:
    case = make_instance(2, 2, 2, 1, rows=6)
    plan = any_plan(case, np.random.default_rng(0))
    with pytest.raises(ConfigError, match="no link 'device-moon'"):
        simulate(plan, case.records, case.profiles, case.network, evenly(1.0, 6), {"device-moon": constant(1.0)})
    with pytest.raises(ConfigError, match="6 rows need 6 arrivals"):
        simulate(plan, case.records, case.profiles, case.network, evenly(1.0, 5))
    with pytest.raises(ConfigError, match="finite seconds"):
        simulate(plan, case.records, case.profiles, case.network, np.array([0.0, 1, 2, 1, 3, 4]))
    with pytest.raises(ConfigError, match="positive number"):
        evenly(0.0, 3)
    other = make_instance(2, 3, 2, 1, rows=6)
    with pytest.raises(RecordMismatch, match="places 2 segments"):
        simulate(plan, case.records, other.profiles, case.network, evenly(1.0, 6))
    foreign = plan.model_copy(update={"cascade_fingerprint": "ef" * 32})
    with pytest.raises(RecordMismatch, match="another build"):
        simulate(foreign, case.records, case.profiles, case.network, evenly(1.0, 6))
