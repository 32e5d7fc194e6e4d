"""Controllers in virtual time: a fixed one is the static replay, deadlines are kept from the first tier's exits."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.errors import ConfigError, LinkDown, RecordMismatch
from offramp.links.trace import Trace, constant
from offramp.planning.controllers.base import Controller, Sent
from offramp.planning.controllers.fixed import FixedController
from offramp.planning.costs import cost_table
from offramp.planning.plan import Plan
from offramp.profiles.profile import PayloadCost
from offramp.simulation.arrivals import evenly, poisson
from offramp.simulation.controlled import simulate_controlled
from offramp.simulation.simulate import simulate
from tests.simulation.test_passage import STEPS, trace_of
from tests.simulation.test_simulate import any_plan
from tests.support.instances import Instance, make_instance


class Alternating(Controller):
    """One plan, then the other; remembers what it is told."""

    def __init__(self, *plans: Plan) -> None:
        self.plans, self.asked, self.told = plans, list[float](), list[Sent]()

    def plan_at(self, now_s: float) -> Plan:
        self.asked.append(now_s)
        return self.plans[(len(self.asked) - 1) % len(self.plans)]

    def observe(self, sent: Sent) -> None:
        self.told.append(sent)


def split_plan(case: Instance) -> Plan:
    """First segment and exit on the device, nobody leaves there, the rest on the edge."""
    plan = any_plan(case, np.random.default_rng(0))
    gates = tuple(gate.model_copy(update={"threshold": None}) for gate in plan.gates)
    return plan.model_copy(update={"placement": ("device", "edge"), "gates": gates})


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    segments=st.integers(1, 4),
    tiers=st.integers(1, 4),
    rate_hz=st.floats(0.5, 2000),
    steps=STEPS,
    loop=st.booleans(),
    data=st.data(),
)
def test_a_fixed_controller_is_the_static_replay(
    seed: int,
    segments: int,
    tiers: int,
    rate_hz: float,
    steps: list[tuple[float, float]],
    loop: bool,
    data: st.DataObject,
) -> None:
    case = make_instance(seed, segments, tiers, data.draw(st.integers(1, segments)), rows=30)
    rng = np.random.default_rng(seed)
    plan, arrival = any_plan(case, rng), poisson(rate_hz, 30, rng)
    traces = {"device-edge": trace_of(steps, loop)} if tiers > 1 else {}
    static = simulate(plan, case.records, case.profiles, case.network, arrival, traces)
    found = simulate_controlled(FixedController(plan), case.records, case.profiles, case.network, arrival, traces)
    np.testing.assert_allclose(found.latency_s, static.latency_s, rtol=0, atol=1e-9)
    np.testing.assert_array_equal(found.exit, static.exit)
    np.testing.assert_array_equal(found.correct, static.correct)
    np.testing.assert_allclose(found.sent_bytes, static.sent_bytes)
    assert found.busy_share == pytest.approx(static.busy_share)
    assert not found.degraded.any()
    assert found.plans == (plan,)


def test_every_sample_has_the_plan_it_was_given_and_every_transfer_is_seen() -> None:
    case = make_instance(2, 2, 2, 2, rows=6)
    split = split_plan(case)
    local = split.model_copy(update={"placement": ("device", "device")})
    controller = Alternating(split, local)
    found = simulate_controlled(controller, case.records, case.profiles, case.network, evenly(1.0, 6))
    assert found.plan.tolist() == [0, 1, 0, 1, 0, 1]
    assert [plan.plan_id for plan in found.plans] == [split.plan_id, local.plan_id]
    assert controller.asked == list(range(6))
    assert len(controller.told) == 3
    rate = case.network.links[0].bandwidth_bps
    assert [sent.bandwidth_bps for sent in controller.told] == pytest.approx([rate] * 3)
    assert [sent.payload_bytes for sent in controller.told] == found.sent_bytes[::2].tolist()
    assert (found.sent_bytes[1::2] == 0).all()


def test_an_outage_is_answered_from_the_device_at_the_deadline() -> None:
    case = make_instance(2, 2, 2, 2, rows=6)
    split = split_plan(case)
    rate = case.network.links[0].bandwidth_bps
    traces = {"device-edge": Trace((0.0, 2.0, 3.5), (rate, 0.0, rate))}
    controller = Alternating(split)
    calm = simulate(split, case.records, case.profiles, case.network, evenly(1.0, 6))
    deadline_s = float(calm.latency_s.max()) + 0.01
    found = simulate_controlled(
        controller, case.records, case.profiles, case.network, evenly(1.0, 6), traces, deadline_s=deadline_s
    )
    assert found.degraded.tolist() == [False, False, True, True, False, False]
    assert found.exit.tolist() == [1, 1, 0, 0, 1, 1]
    assert found.latency_s[2:4] == pytest.approx(deadline_s)
    assert found.failed(deadline_s).sum() == 2
    assert not found.late(deadline_s).any()
    lost = [sent for sent in controller.told if not sent.done]
    assert len(lost) == 2
    assert all(sent.bandwidth_bps == 0 for sent in lost)
    assert found.correct[2] == case.records.correct[0, 2]
    never = {"device-edge": constant(0.0)}
    dead = simulate_controlled(
        FixedController(split), case.records, case.profiles, case.network, evenly(1.0, 6), never, deadline_s=deadline_s
    )
    assert dead.degraded.all()
    assert dead.miss_rate(deadline_s) == 0.0


def test_without_an_exit_on_the_device_it_computes_one_in_time() -> None:
    case = make_instance(2, 2, 2, 2, rows=6)
    away = split_plan(case).model_copy(update={"placement": ("edge", "edge")})
    first_s = float(cost_table(case.profiles, case.network, "raw", 2).cost_s[0, 0])
    rate = case.network.links[0].bandwidth_bps
    traces = {"device-edge": Trace((0.0, 2.0, 3.5), (rate, 0.0, rate))}
    tables = case.records, case.profiles, case.network, evenly(1.0, 6), traces
    controller = Alternating(away)
    found = simulate_controlled(controller, *tables, deadline_s=0.4)
    assert found.degraded.tolist() == [False, False, True, True, False, False]
    assert found.latency_s[2:4] == pytest.approx(0.4)
    assert found.exit.tolist() == [1, 1, 0, 0, 1, 1]
    assert [sent.seconds for sent in controller.told if not sent.done] == pytest.approx([0.4 - first_s] * 2, abs=1e-3)
    hasty = simulate_controlled(FixedController(away), *tables, deadline_s=first_s / 2)
    assert hasty.late(first_s / 2).all()
    assert hasty.latency_s[2] == pytest.approx(1.5 * first_s)  # too late anyway, so it waits to the end
    waits = simulate_controlled(FixedController(away), *tables)
    assert waits.late(0.4).tolist() == [False, False, True, True, False, False]
    assert not waits.degraded.any()
    with pytest.raises(LinkDown, match="ends in an outage"):
        simulate_controlled(FixedController(away), *tables[:4], {"device-edge": constant(0.0)})


def test_slow_work_on_the_device_stops_at_the_deadline() -> None:
    case = make_instance(2, 2, 1, 2, rows=4)
    plan = any_plan(case, np.random.default_rng(0))
    gates = tuple(gate.model_copy(update={"threshold": None}) for gate in plan.gates)
    plan = plan.model_copy(update={"gates": gates})
    first_s, all_s = cost_table(case.profiles, case.network, "raw", 2).cost_s[0]
    deadline_s = (first_s + all_s) / 2
    found = simulate_controlled(
        FixedController(plan), case.records, case.profiles, case.network, evenly(0.1, 4), deadline_s=deadline_s
    )
    assert found.degraded.all()
    assert (found.exit == 0).all()
    assert found.latency_s == pytest.approx(first_s)  # the rest would be too late, so it is not begun


def test_a_monitor_reports_on_time() -> None:
    case = make_instance(2, 2, 2, 2, rows=3)
    local = split_plan(case).model_copy(update={"placement": ("device", "device")})
    controller = Alternating(local)
    traces = {"device-edge": Trace((0.0, 1.0, 2.0), (1e6, 0.0, 4e6))}
    simulate_controlled(controller, case.records, case.profiles, case.network, evenly(0.5, 3), traces, monitor_s=1.0)
    assert [(sent.ended_s, sent.bandwidth_bps) for sent in controller.told] == [(1, 1e6), (2, 0), (3, 4e6), (4, 4e6)]


def test_energy_is_counted_where_the_network_names_a_model() -> None:
    case = make_instance(2, 2, 2, 2, rows=4)
    split = split_plan(case)
    assert simulate(split, case.records, case.profiles, case.network, evenly(1.0, 4)).energy_j is None
    tiers = case.network.tiers
    network = case.network.__class__(
        (tiers[0].__class__("device", energy="raspberry-pi-3b"), tiers[1]), case.network.links
    )
    found = simulate(split, case.records, case.profiles, network, evenly(1.0, 4))
    again = simulate_controlled(FixedController(split), case.records, case.profiles, network, evenly(1.0, 4))
    assert found.energy_j is not None
    assert again.energy_j is not None
    assert (found.energy_j > 0).all()
    np.testing.assert_allclose(found.energy_j, again.energy_j)


def test_wrong_input_is_refused() -> None:
    case = make_instance(2, 2, 2, 2, rows=6)
    plan = split_plan(case)
    tables = case.records, case.profiles, case.network
    with pytest.raises(ConfigError, match="deadline_s must be a positive number"):
        simulate_controlled(FixedController(plan), *tables, evenly(1.0, 6), deadline_s=float("nan"))
    with pytest.raises(ConfigError, match="monitor_s must be a positive number"):
        simulate_controlled(FixedController(plan), *tables, evenly(1.0, 6), monitor_s=0.0)
    foreign = plan.model_copy(update={"cascade_fingerprint": "ef" * 32})
    with pytest.raises(RecordMismatch, match="another build"):
        simulate_controlled(FixedController(foreign), *tables, evenly(1.0, 6))


def test_every_variant_answers_with_its_own_records() -> None:
    case = make_instance(2, 2, 2, 2, rows=40)
    split = split_plan(case)
    coded = split.model_copy(update={"coded": {1: "jpeg"}})
    source = case.records.provenance
    lossy = replace(case.records, logits=-case.records.logits, provenance=replace(source, variant="fp32+jpeg@1"))
    payload = PayloadCost(cut=1, codec="jpeg", payload_bytes=10.0, encode_s=0.0, decode_s=0.0)
    profiles = {
        name: profile.model_copy(update={"payloads": (*profile.payloads, payload)})
        for name, profile in case.profiles.items()
    }
    both = [case.records, lossy]
    controller = Alternating(split, coded)
    found = simulate_controlled(controller, both, profiles, case.network, evenly(1.0, 40))
    assert found.correct[::2].tolist() == case.records.correct[1, ::2].tolist()
    assert found.correct[1::2].tolist() == lossy.correct[1, 1::2].tolist()
    assert (found.sent_bytes[1::2] < found.sent_bytes[::2]).all()
    dead = {"device-edge": constant(0.0)}
    late = simulate_controlled(
        FixedController(coded), both, profiles, case.network, evenly(1.0, 40), dead, deadline_s=0.5
    )
    assert late.correct.tolist() == case.records.correct[0].tolist()  # what the device has itself is not coded
    with pytest.raises(RecordMismatch, match="records are of other variants"):
        simulate_controlled(
            FixedController(coded.model_copy(update={"coded": {0: "jpeg"}})),
            both,
            profiles,
            case.network,
            evenly(1.0, 40),
        )
