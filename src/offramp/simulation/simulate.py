"""A plan in virtual time: arrivals, queues, and links whose bandwidth moves."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError, LinkDown
from offramp.links.network import Network
from offramp.links.trace import Trace, constant
from offramp.planning.plan import Plan
from offramp.planning.replay import replay_exits
from offramp.profiles.profile import Profile
from offramp.records.records import Records
from offramp.simulation.events import Events, Server
from offramp.simulation.journey import Compute, Stage, Transfer, Wait, journeys

__all__ = ["Simulated", "simulate"]


@dataclass(frozen=True)
class Simulated:
    """Per sample (n,) in order of arrival: exit, right or not, arrival and latency in seconds.

    ``busy_share`` is the part of the whole time each tier worked.
    """

    exit: NDArray[np.intp]
    correct: NDArray[np.bool_]
    arrival_s: NDArray[np.float64]
    latency_s: NDArray[np.float64]
    busy_share: dict[str, float]

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.correct.mean())


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
    rates = _rates(network, traces or {})
    _check_arrivals(arrival_s, len(records))
    taken = replay_exits(plan, records)
    world = _World(network, rates)
    done_s = np.empty(len(records))
    for sample, exit_index in enumerate(taken):
        world.send(sample, ways[exit_index], float(arrival_s[sample]), done_s)
    world.events.run()
    span_s = float(done_s.max() - arrival_s[0]) or 1.0
    return Simulated(
        exit=taken,
        correct=records.correct[taken, np.arange(len(records))],
        arrival_s=np.asarray(arrival_s, np.float64),
        latency_s=done_s - arrival_s,
        busy_share={t: s.busy_s / span_s for t, s in zip(network.tier_names, world.tiers, strict=True)},
    )


class _World:
    """Queues of all tiers and links."""

    def __init__(self, network: Network, rates: list[Trace]) -> None:
        self.events = Events()
        self.rates = rates
        self.tiers = [Server(self.events) for _ in network.tiers]
        self.links = {(i, up): Server(self.events) for i in range(len(network.links)) for up in (True, False)}

    def send(self, sample: int, stages: tuple[Stage, ...], arrival_s: float, done_s: NDArray[np.float64]) -> None:
        left = iter(stages)

        def on() -> None:
            stage = next(left, None)
            match stage:
                case Compute(tier, seconds):
                    self.tiers[tier].serve(lambda _: seconds, on)
                case Transfer(link, up, message_bytes):
                    self.links[link, up].serve(lambda now_s: self._seconds(link, message_bytes, now_s), on)
                case Wait(seconds):
                    self.events.after(seconds, on)
                case None:
                    done_s[sample] = self.events.now_s

        self.events.at(arrival_s, on)

    def _seconds(self, link: int, message_bytes: float, now_s: float) -> float:
        seconds = self.rates[link].finish_s(now_s, message_bytes) - now_s
        if not math.isfinite(seconds):
            raise LinkDown(
                f"a message sent at {now_s:.3f} s over link {link} never arrives: its trace ends in an outage"
            )
        return seconds


def _rates(network: Network, traces: Mapping[str, Trace]) -> list[Trace]:
    names = [f"{link.source}-{link.target}" for link in network.links]
    for name in traces:
        if name not in names:
            raise ConfigError(f"{network.name}: no link {name!r}; the links are {', '.join(names) or 'none'}")
    return [traces.get(name, constant(link.bandwidth_bps)) for name, link in zip(names, network.links, strict=True)]


def _check_arrivals(arrival_s: NDArray[np.floating], rows: int) -> None:
    if arrival_s.shape != (rows,):
        raise ConfigError(f"{rows} rows need {rows} arrivals, not an array of shape {arrival_s.shape}")
    if not np.isfinite(arrival_s).all() or arrival_s.min() < 0 or (np.diff(arrival_s) < 0).any():
        raise ConfigError("arrivals must be finite seconds from 0 on, each not before the one ahead of it")
