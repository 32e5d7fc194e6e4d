"""What metrics show beside counts: the state of a tier or a device at the moment."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from offramp.runtime.answering import Answering
    from offramp.runtime.device import Device
    from offramp.runtime.failover import Failover

__all__ = ["BREAKER_STATES", "GAUGES", "Gauge", "Gauges", "device_gauges", "tier_gauges"]

#: what each says, and whether it only grows
GAUGES: Mapping[str, tuple[str, bool]] = {
    "queue_rows": ("Rows that wait for their turn", False),
    "in_flight": ("Requests under way", False),
    "refused": ("Requests for which there was no room", True),
    "plans_learned": ("Plans announced and kept", False),
    "plan_info": ("1 for the plan followed, or a tier's default", False),
    "plan_switches": ("Plans followed since the first", True),
    "connected": ("1 while there is a stream to the next tier", False),
    "breaker_state": ("0 closed, 1 half-open, 2 open, by server of the next tier", False),
    "breaker_opened": ("Times the breaker has opened, by server of the next tier", True),
    "link_bandwidth_bps": ("Bandwidth last observed, by link, in bit/s", False),
    "audited": ("Answers compared with the last exit's", True),
    "audit_differed": ("Audited answers that differ from the last exit's", True),
    "audit_lost": ("Answers drawn for an audit that could not be audited", True),
    "audit_loss": ("Share of audited answers that differ from the last exit's", False),
    "alarm_raised": ("1 when the alarm is raised", False),
    "alarm_p_value": ("P-value of the loss having stayed within its limit", False),
    "spool_rows": ("Samples of the spool, by what became of them", False),
}

#: as `breaker_state` shows them
BREAKER_STATES = {"closed": 0.0, "half_open": 1.0, "open": 2.0}


class Gauge(NamedTuple):
    """One value: the metric's name, a label that tells its values apart (empty: there is one), and the value."""

    metric: str
    label: str
    label_value: str
    value: float


#: reads them anew each time; called in a thread
Gauges = Callable[[], Iterator[Gauge]]


def tier_gauges(answering: Answering) -> Iterator[Gauge]:
    """The state of a tier's server."""
    tier, batcher = answering.tier, answering.batcher
    yield Gauge("queue_rows", "", "", batcher.waiting_rows)
    yield Gauge("in_flight", "", "", answering.in_flight)
    yield Gauge("refused", "", "", batcher.refused)
    yield Gauge("plans_learned", "", "", len(tier.learned))
    yield Gauge("plan_info", "plan_id", tier.plan_ids[0], 1)
    if answering.upstream is not None:
        yield from _peers(answering.upstream)


def device_gauges(device: Device) -> Iterator[Gauge]:
    """The state of a device: its plan, its link, its audits and its spool."""
    yield Gauge("plan_info", "plan_id", device.plan.plan_id, 1)
    upstream = device.upstream
    if upstream is not None:
        yield Gauge("in_flight", "", "", upstream.in_flight)
        yield from _peers(upstream)
    if (adapter := device.adapter) is not None:
        yield Gauge("plan_switches", "", "", adapter.switches)
        names = adapter.adaptation.network.tier_names
        for link, bandwidth_bps in enumerate(adapter.transfers.last_bps):
            yield Gauge("link_bandwidth_bps", "link", f"{names[link]}-{names[link + 1]}", bandwidth_bps)
    if (auditor := device.auditor) is not None:
        yield Gauge("audited", "", "", auditor.audited)
        yield Gauge("audit_differed", "", "", auditor.differed)
        yield Gauge("audit_lost", "", "", auditor.lost)
        yield Gauge("audit_loss", "", "", auditor.loss)
        yield Gauge("alarm_raised", "", "", auditor.alarm.raised_at is not None)
        yield Gauge("alarm_p_value", "", "", auditor.alarm.p_value)
    if device.spool is not None:
        for key, count in device.spool.counts().items():
            yield Gauge("spool_rows", "state", key.removeprefix("spool."), count)


def _peers(upstream: Failover) -> Iterator[Gauge]:
    yield Gauge("connected", "", "", upstream.connected)
    for address, state in upstream.breakers.items():
        yield Gauge("breaker_state", "peer", address, BREAKER_STATES[state])
    for peer in upstream.peers:
        yield Gauge("breaker_opened", "peer", peer.upstream.address, peer.breaker.opened)
