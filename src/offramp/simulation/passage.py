"""All samples through all queues, one queue after the other, where one plan serves them all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from offramp.links.trace import Trace
from offramp.simulation.byte_curve import ByteCurve
from offramp.simulation.fifo import fifo, fifo_link
from offramp.simulation.journey import Compute, Stage, Transfer, Wait
from offramp.simulation.world import never_arrives

__all__ = ["Passage", "passage"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Passage:
    """``done_s`` (n,) when each sample is back; ``busy_s`` (K,) seconds each tier worked."""

    done_s: Floats
    busy_s: Floats


@dataclass
class _Queue:
    """What each exit asks of one queue: work (seconds or bytes), and the delay after it."""

    work: dict[int, float] = field(default_factory=dict)
    wait_s: dict[int, float] = field(default_factory=dict)


def passage(
    ways: Sequence[tuple[Stage, ...]],
    taken: NDArray[np.intp],
    arrival_s: Floats,
    rates: Sequence[Trace],
    tiers: int,
) -> Passage:
    """The answer of `offramp.simulation.world.World` for one plan, by arrays.

    A sample meets every queue at most once: the tiers and links upwards, then the links downwards. So the queues can
    be passed one after the other, all samples at once. Samples that reach a queue in the same instant are served in
    the order they arrived in the system.

    Parameters
    ----------
    ways : (E,) stages of a sample that leaves by each exit
    taken : (n,) exit of every sample
    arrival_s : (n,) not falling
    rates : one per link

    Raises
    ------
    LinkDown : a trace ends in an outage with a message under way
    """
    queues = _queues(ways, tiers)
    at_s = np.array(arrival_s, np.float64)
    busy_s = np.zeros(tiers)
    for key, queue in queues.items():
        work, wait_s = (_by_exit(part, len(ways)) for part in (queue.work, queue.wait_s))
        here = np.flatnonzero(~np.isnan(work[taken]))
        here = here[np.argsort(at_s[here], kind="stable")]
        exits = taken[here]
        match key:
            case int(tier):
                end_s = fifo(at_s[here], work[exits])
                busy_s[tier] = work[exits].sum()
            case (link, _):
                end_s = _over(rates[link], at_s[here], work[exits])
                if len(end_s) and np.isinf(end_s[-1]):
                    first = int(np.argmax(np.isinf(end_s)))
                    raise never_arrives(link, max(at_s[here[first]], end_s[first - 1] if first else 0.0))
        at_s[here] = end_s + wait_s[exits]
    return Passage(at_s, busy_s)


def _over(rate: Trace, arrival_s: Floats, message_bytes: Floats) -> Floats:
    if len(rate.time_s) == 1 and rate.bandwidth_bps[0] > 0:
        return fifo(arrival_s, message_bytes * (8.0 / rate.bandwidth_bps[0]))
    return fifo_link(arrival_s, message_bytes, ByteCurve(rate))


def _queues(ways: Sequence[tuple[Stage, ...]], tiers: int) -> dict[int | tuple[int, bool], _Queue]:
    """The queues in an order in which every way meets them."""
    found: dict[int | tuple[int, bool], _Queue] = {}
    for tier in range(tiers):
        found[tier] = _Queue()
        if tier < tiers - 1:
            found[tier, True] = _Queue()
    for link in reversed(range(tiers - 1)):
        found[link, False] = _Queue()
    for exit_index, way in enumerate(ways):
        queue = found[0]
        for stage in way:
            match stage:
                case Compute(tier, seconds):
                    queue = found[tier]
                    queue.work[exit_index] = seconds
                case Transfer(link, up, message_bytes):
                    queue = found[link, up]
                    queue.work[exit_index] = message_bytes
                case Wait(seconds):
                    queue.wait_s[exit_index] = queue.wait_s.get(exit_index, 0.0) + seconds
    for queue in found.values():
        for exit_index in queue.work:
            queue.wait_s.setdefault(exit_index, 0.0)
    return found


def _by_exit(values: dict[int, float], exits: int) -> Floats:
    return np.array([values.get(index, np.nan) for index in range(exits)])
