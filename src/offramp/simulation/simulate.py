"""A plan in virtual time: arrivals, queues, and links whose bandwidth moves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.links.network import Network
from offramp.links.trace import Trace
from offramp.planning.plan import Plan
from offramp.planning.replay import replay_exits
from offramp.profiles.profile import Profile
from offramp.records.records import Records
from offramp.simulation.energy import exit_energy_j
from offramp.simulation.inputs import check_arrivals, rates_of
from offramp.simulation.journey import journeys, sent_bytes
from offramp.simulation.passage import passage
from offramp.simulation.simulated import Simulated

__all__ = ["simulate"]


def simulate(
    plan: Plan,
    records: Records,
    profiles: Mapping[str, Profile] | Sequence[Profile],
    network: Network,
    arrival_s: NDArray[np.floating],
    traces: Mapping[str, Trace] | None = None,
) -> Simulated:
    """Send recorded rows through a plan, sample i at ``arrival_s[i]``.

    Every tier works on one sample at a time, first come first served; each direction of a link
    carries one message at a time. With no queueing and constant bandwidth every latency is the
    planner's cost of the exit.

    Parameters
    ----------
    plan, profiles, network : as in planning
    records : n rows, one per arrival
    arrival_s : (n,) not falling; see `offramp.simulation.arrivals`
    traces : bandwidth of the links whose rate moves, by "source-target"; default the network's rate

    Raises
    ------
    RecordMismatch : plan, records, profiles and network do not belong together
    ConfigError : an unknown link, or arrivals that do not fit the rows
    LinkDown : a trace ends in an outage with a message under way
    """
    plan.require(records.provenance.cascade_fingerprint)
    ways = journeys(plan, profiles, network)
    rates = rates_of(network, traces or {})
    check_arrivals(arrival_s, len(records))
    taken = replay_exits(plan, records)
    arrived_s = np.asarray(arrival_s, np.float64)
    through = passage(ways, taken, arrived_s, rates, len(network.tiers))
    span_s = float(through.done_s.max() - arrived_s[0]) or 1.0
    energy_j = exit_energy_j(plan, profiles, network, ways)
    return Simulated(
        exit=taken,
        correct=records.correct[taken, np.arange(len(records))],
        arrival_s=arrived_s,
        latency_s=through.done_s - arrived_s,
        sent_bytes=np.array([sent_bytes(way) for way in ways])[taken],
        energy_j=None if energy_j is None else energy_j[taken],
        busy_share=dict(zip(network.tier_names, (through.busy_s / span_s).tolist(), strict=True)),
    )
