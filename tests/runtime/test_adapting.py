"""What the device learns of its links, and the plans it follows for it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.cascade.store import Cascade
from offramp.errors import ConfigError
from offramp.links.estimators import Ewma
from offramp.links.network import Link, Network, Tier
from offramp.links.relay import ShapingRelay
from offramp.links.trace import Trace
from offramp.planning.controllers.base import Controller, Sent
from offramp.planning.controllers.fixed import FixedController
from offramp.planning.controllers.link_view import LinkView
from offramp.planning.controllers.rerun import RerunController
from offramp.planning.plan import Plan
from offramp.runtime.adapting import Adaptation
from offramp.runtime.device import Device
from offramp.runtime.loop import run_in_background
from offramp.runtime.stamps import Stamps
from offramp.runtime.transfers import Crossing, Transfers
from tests.e2e.support import until
from tests.runtime.support import local_chain, plan_of
from tests.runtime.test_service import serving
from tests.support.tiny import make_tiny_cascade, tiny_rows

CHAIN = Network(
    (Tier("device"), Tier("edge"), Tier("cloud")), (Link("device", "edge", 5e6, 0.01), Link("edge", "cloud", 1e8, 0.02))
)
GATES = (None, None)
SPLIT, ALONE = ("device", "cloud", "cloud"), ("device",) * 3


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


def stamped(arrived_s: float, sent_s: float, heard_s: float, left_s: float) -> Stamps:
    return Stamps(arrived_s, arrived_s, arrived_s, sent_s, sent_s, heard_s, left_s)


@given(
    rates=st.tuples(st.floats(1e4, 5e6), st.floats(1e4, 5e6)),
    sizes=st.tuples(st.integers(8192, 10**6), st.integers(8192, 10**6)),
    worked_s=st.floats(0, 1),
    begin_s=st.floats(0, 1e5),
)
def test_bandwidths_are_read_off_stamps(
    rates: tuple[float, float], sizes: tuple[int, int], worked_s: float, begin_s: float
) -> None:
    """Whatever the tiers' clocks say and however long they worked."""
    second_s = sizes[1] * 8 / rates[1] + 0.02 + 0.003
    cloud = stamped(7.0, 7.0, 7.0, 7.0 + worked_s)
    edge = stamped(100.0, 100.0, 100.0 + second_s + worked_s, 100.0 + second_s + worked_s)
    heard_s = begin_s + sizes[0] * 8 / rates[0] + 0.01 + 0.003 + second_s + worked_s
    found = Transfers(CHAIN, hop_s=0.003).of(
        Crossing(sizes[0], begin_s, heard_s), {"edge": edge, "cloud": cloud}, {"edge": sizes[1]}
    )
    assert [(sent.link, sent.done) for sent in found] == [(0, True), (1, True)]
    assert [sent.bandwidth_bps for sent in found] == pytest.approx(rates, rel=1e-3)


def test_a_quick_transfer_says_only_at_least() -> None:
    transfers = Transfers(CHAIN)
    edge = {"edge": stamped(1.0, 1.0, 1.0, 1.0)}
    assert transfers.of(Crossing(100, 0.0, 0.0101), edge, {}) == []  # 0.8 Mbit/s at least: known
    (sent,) = transfers.of(Crossing(10_000, 0.0, 0.0101), edge, {})
    assert sent.bandwidth_bps == pytest.approx(80e6)
    assert transfers.of(Crossing(5_000, 0.0, 0.0101), edge, {}) == []
    transfers.failed(0, 0, 0.5, 9.0)
    (sent,) = transfers.of(Crossing(100, 0.0, 0.0101), edge, {})
    assert sent.bandwidth_bps == pytest.approx(8e5)
    assert transfers.of(Crossing(100, 0.0, 1.0), {}, {}) == []


@pytest.mark.parametrize(("field", "value"), [("probe_s", 0.0), ("probe_s", math.inf), ("hop_s", -1.0)])
def test_times_out_of_range_are_refused(cascade: Cascade, field: str, value: float) -> None:
    with pytest.raises(ConfigError, match=field):
        Adaptation(FixedController(plan_of(cascade, ALONE, GATES)), CHAIN, **{field: value})


def test_it_needs_a_next_tier_and_its_own_chain(cascade: Cascade) -> None:
    plan = plan_of(cascade, ALONE, GATES)
    with pytest.raises(ConfigError, match="no upstream was given"):
        Device(cascade, plan, adaptation=Adaptation(FixedController(plan), CHAIN))
    other = Network((Tier("camera"), Tier("cloud")), (Link("camera", "cloud", 1e6),))
    with pytest.raises(ConfigError, match="begins with 'camera'"):
        Device(cascade, plan, "127.0.0.1:9", adaptation=Adaptation(FixedController(plan), other))


class Recorder(Controller):
    """Writes down what another is shown and says."""

    def __init__(self, asked: Controller) -> None:
        self.asked, self.log = asked, list[tuple[float, Plan] | Sent]()

    def plan_at(self, now_s: float) -> Plan:
        plan = self.asked.plan_at(now_s)
        self.log.append((now_s, plan))
        return plan

    def observe(self, sent: Sent) -> None:
        self.log.append(sent)
        self.asked.observe(sent)

    def seen(self, link: int) -> list[float]:
        """Bandwidths observed."""
        return [entry.bandwidth_bps for entry in self.log if isinstance(entry, Sent) and entry.link == link]

    def replayed(self, fresh: Controller) -> Iterator[tuple[Plan, Plan]]:
        """What was decided, and what a fresh controller decides that is shown the same."""
        for entry in self.log:
            if isinstance(entry, Sent):
                fresh.observe(entry)
            else:
                yield entry[1], fresh.plan_at(entry[0])


@contextmanager
def relayed(address: str, trace: Trace) -> Iterator[str]:
    """The address behind a link."""
    relay = ShapingRelay(address, trace, 0.002)
    port = run_in_background(relay.start())
    try:
        yield f"127.0.0.1:{port}"
    finally:
        run_in_background(relay.close())


def chooser(cascade: Cascade) -> RerunController:
    """All that needs the link while it gives 100 kbit/s; else the device alone."""
    split, alone = plan_of(cascade, SPLIT, GATES), plan_of(cascade, ALONE, GATES)
    return RerunController(lambda bps: split if bps > 1e5 else alone, LinkView(Ewma(5e6, 0.7)), step=1.5)


def test_it_leaves_a_slow_link_and_comes_back(cascade: Cascade) -> None:
    """The tier beyond knows another plan only; no sample is lost, and replay decides the same."""
    two = Network((Tier("device"), Tier("cloud")), (Link("device", "cloud", 5e6, 0.002),))
    # 1.5 s quick, 3 s slow, and again
    trace = Trace((0.0, 1.5, 4.5, 6.0), (5e6, 20e3, 5e6, 5e6), loop=True)
    controller, rows = Recorder(chooser(cascade)), tiny_rows(50)
    expected = [answer[:2] for answer in local_chain(cascade, rows, GATES)]
    followed, tiers, answers = list[tuple[str, ...]](), set[str](), 0
    with serving(cascade, "cloud", plan_of(cascade, ("cloud",) * 3, GATES)) as (cloud, answering):
        with (
            relayed(cloud, trace) as address,
            Device(
                cascade,
                plan_of(cascade, ALONE, GATES),
                address,
                adaptation=Adaptation(controller, two, probe_s=0.2),
                deadline_s=5.0,
            ) as device,
        ):
            assert device.adapter is not None

            def through() -> bool:
                nonlocal answers
                for row, planned in zip(rows[:5], expected, strict=False):
                    answer = device.infer(row)
                    answers += 1
                    assert (answer.label, answer.exit, answer.degraded) == (*planned, None)
                    tiers.add(answer.tier)
                if not followed or followed[-1] != device.plan.placement:
                    followed.append(device.plan.placement)
                return followed[-3:] == [SPLIT, ALONE, SPLIT]

            until(through, timeout_s=30.0)
            assert device.adapter.switches >= 3
            counted = device.counters
            assert counted.rows == counted.requests == answers
        assert answering.tier.knows(plan_of(cascade, SPLIT, GATES).plan_id)
    assert tiers == {"device", "cloud"}
    decided = list(controller.replayed(chooser(cascade)))
    assert {plan.placement for plan, _ in decided} == {SPLIT, ALONE}
    assert all(live.plan_id == again.plan_id for live, again in decided)


def test_no_link_is_an_outage_and_its_return_is_noticed(cascade: Cascade) -> None:
    plan = plan_of(cascade, SPLIT, GATES)
    with serving(cascade, "cloud", plan) as (cloud, _):
        relay = ShapingRelay(cloud, 5e6, 0.002)
        port = run_in_background(relay.start())
        two = Network((Tier("device"), Tier("cloud")), (Link("device", "cloud", 5e6, 0.002),))
        adaptation = Adaptation(chooser(cascade), two, probe_s=0.1)
        with Device(cascade, plan, f"127.0.0.1:{port}", adaptation=adaptation, deadline_s=2.0) as device:
            until(lambda: device.infer(tiny_rows(1)[0]).tier == "cloud")
            run_in_background(relay.close())
            until(lambda: device.plan.placement == ALONE)
            assert device.infer(tiny_rows(1)[0]).degraded is None
            relay = ShapingRelay(cloud, 5e6, 0.002, f"127.0.0.1:{port}")
            run_in_background(relay.start())
            until(lambda: device.infer(tiny_rows(1)[0]).tier == "cloud")
        run_in_background(relay.close())


def test_links_beyond_the_first_are_watched_too(cascade: Cascade) -> None:
    """By requests that cross them, and by probes where the plan needs none of them."""
    spread, alone = plan_of(cascade, ("device", "edge", "cloud"), GATES), plan_of(cascade, ALONE, GATES)
    for plan in (spread, alone):
        controller = Recorder(FixedController(plan))
        with (
            serving(cascade, "cloud", spread) as (cloud, _),
            relayed(cloud, Trace((0.0,), (1e5,))) as slow,
            serving(cascade, "edge", spread, slow) as (edge, _),
            Device(cascade, plan, edge, adaptation=Adaptation(controller, CHAIN, probe_s=0.2)) as device,
        ):
            until(partial(_asked, device, controller))
        seen = controller.seen(link=1)
        assert 2e4 < min(seen) <= max(seen) < 4e5


def _asked(device: Device, controller: Recorder) -> bool:
    """One more sample; whether enough is known of the second link."""
    device.infer(tiny_rows(1)[0])
    return len(controller.seen(link=1)) >= 2


class Restless(Controller):
    """Another plan every time."""

    def __init__(self, plans: list[Plan]) -> None:
        self.plans, self.asked = plans, 0

    def plan_at(self, now_s: float) -> Plan:
        self.asked += 1
        return self.plans[self.asked % len(self.plans)]

    def observe(self, sent: Sent) -> None:
        """It does not matter."""


def test_no_sample_is_lost_while_plans_are_swapped_under_load(cascade: Cascade) -> None:
    """Ten plans of the same gates, each where and in which codec it likes, with samples under way all the time."""
    placements = [SPLIT, ALONE, ("device", "device", "cloud"), ("cloud",) * 3, ("device", "edge", "cloud")]
    plans = [plan_of(cascade, placement, (0.6, 0.8), codec) for placement in placements for codec in ("raw", "zstd")]
    rows, controller = tiny_rows(1500), Restless(plans)
    expected = [one[:2] for one in local_chain(cascade, rows, (0.6, 0.8))]
    with (
        serving(cascade, "cloud", plans[0]) as (cloud, _),
        serving(cascade, "edge", plans[0], cloud) as (edge, answering),
        Device(
            cascade, plans[0], edge, adaptation=Adaptation(controller, CHAIN, probe_s=0.1), max_in_flight=16
        ) as device,
    ):
        answers = list(device.infer_many(rows))
        assert device.adapter is not None
        switches = device.adapter.switches
        assert device.counters.rows == len(rows)
    assert switches >= 5
    assert [(answer.label, answer.exit) for answer in answers] == expected
    assert {answer.degraded for answer in answers} == {None}
    assert {answer.tier for answer in answers} == {"device", "edge", "cloud"}
    assert 0 < len(answering.tier.learned) < len(plans)
