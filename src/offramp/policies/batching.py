"""Offloads sent together: batches of a size, none waiting longer than a bound."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offramp.errors import ConfigError
from offramp.links.network import Link

__all__ = ["BatchCosts", "BatchOutcome", "BatchRule", "best_batch", "send_in_batches"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class BatchRule:
    """A batch is sent when it is full, or when its first sample has waited long enough.

    Raises
    ------
    ConfigError : an empty batch, or a wait below 0
    """

    size: int
    wait_s: float = math.inf

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ConfigError(f"a batch holds at least one sample, not {self.size}")
        if not self.wait_s >= 0.0:
            raise ConfigError(f"the longest wait must not be below 0 seconds, not {self.wait_s}")


@dataclass(frozen=True)
class BatchCosts:
    """What sending a batch takes.

    Parameters
    ----------
    link : crossed by one batch after the other
    batch_bytes : of a request besides its samples
    batch_s, sample_s : remote compute of a batch, and of each of its samples; the next batch may cross meanwhile
    """

    link: Link
    batch_bytes: float = 0.0
    batch_s: float = 0.0
    sample_s: float = 0.0


@dataclass(frozen=True)
class BatchOutcome:
    """What a rule did.

    Parameters
    ----------
    rule : of the batches
    sizes : (m,) of the batches sent
    latency_s : (n,) of every sample, from when it was to be offloaded to its answer
    sending_s : the link was busy
    """

    rule: BatchRule
    sizes: NDArray[np.intp]
    latency_s: Floats
    sending_s: float

    @property
    def transmissions(self) -> int:
        """Batches sent."""
        return len(self.sizes)


def send_in_batches(at_s: ArrayLike, payload_bytes: ArrayLike, rule: BatchRule, costs: BatchCosts) -> BatchOutcome:
    """Offload samples one batch at a time.

    The last batch leaves when its first sample has waited long enough, or, where that has no bound, with its last
    sample.

    Parameters
    ----------
    at_s : (n,) when each sample is to be offloaded, ascending
    payload_bytes : (n,), or the same of all
    rule : which batches
    costs : of sending them

    Raises
    ------
    ConfigError : no samples, times that fall, or bytes below 0

    Examples
    --------
    >>> costs = BatchCosts(Link("device", "edge", bandwidth_bps=8000, rtt_s=0.1))
    >>> found = send_in_batches([0.0, 1.0, 1.5, 9.0], 100, BatchRule(size=3, wait_s=2.0), costs)
    >>> found.sizes.tolist(), found.latency_s.round(1).tolist()
    ([3, 1], [1.9, 0.9, 0.4, 2.2])
    """
    time_s = np.asarray(at_s, np.float64)
    if time_s.ndim != 1 or not len(time_s) or not np.all(np.diff(time_s) >= 0.0):
        raise ConfigError("samples to offload need times, one for each, that never fall")
    size = np.broadcast_to(np.asarray(payload_bytes, np.float64), time_s.shape)
    if not np.all(size >= 0.0):
        raise ConfigError("payload bytes must be numbers not below 0")
    begins, leaves_s = _batches(time_s, rule)
    held = np.diff([*begins, len(time_s)])
    sent = np.add.reduceat(size, begins) + costs.batch_bytes
    crossing_s = sent * 8.0 / costs.link.bandwidth_bps
    answered_s = np.empty(len(begins))
    free_s = -math.inf
    for index, (leave_s, cross_s) in enumerate(zip(leaves_s, crossing_s.tolist(), strict=True)):
        free_s = max(free_s, leave_s) + cross_s
        answered_s[index] = free_s
    answered_s += costs.link.rtt_s + costs.batch_s + costs.sample_s * held
    latency_s = np.repeat(answered_s, held) - time_s
    return BatchOutcome(rule, np.asarray(held, np.intp), latency_s, float(crossing_s.sum()))


def best_batch(
    at_s: ArrayLike,
    payload_bytes: ArrayLike,
    costs: BatchCosts,
    sizes: Iterable[int],
    *,
    transmission_price: float,
    latency_price_per_s: float,
    wait_s: float = math.inf,
) -> tuple[BatchOutcome, Floats]:
    """The size of least cost per sample among those tried, each replayed exactly; of equals the smallest.

    Parameters
    ----------
    at_s, payload_bytes, costs : as for `send_in_batches`
    sizes : to try
    transmission_price : of sending a batch: waking a radio, a request's overhead
    latency_price_per_s : of a second that a sample waits for its answer, in the same unit
    wait_s : longest wait for a batch to fill

    Returns
    -------
    what the best one did, and (sizes,) the cost per sample of each

    Raises
    ------
    ConfigError : no sizes to try, or what `send_in_batches` refuses
    """
    tried: Sequence[int] = sorted(set(sizes))
    if not tried:
        raise ConfigError("there are no batch sizes to try")
    found = [send_in_batches(at_s, payload_bytes, BatchRule(size, wait_s), costs) for size in tried]
    cost = np.array(
        [
            transmission_price * one.transmissions / len(one.latency_s) + latency_price_per_s * one.latency_s.mean()
            for one in found
        ]
    )
    return found[int(cost.argmin())], cost


def _batches(time_s: Floats, rule: BatchRule) -> tuple[NDArray[np.intp], list[float]]:
    """Where the batches begin, and when they leave."""
    begins: list[int] = []
    leaves_s: list[float] = []
    begin, count = 0, len(time_s)
    while begin < count:
        until_s = float(time_s[begin]) + rule.wait_s
        in_time = int(np.searchsorted(time_s, until_s, side="right"))
        end = min(begin + rule.size, in_time, count)
        full = end == begin + rule.size or math.isinf(until_s)
        begins.append(begin)
        leaves_s.append(float(time_s[end - 1]) if full else until_s)
        begin = end
    return np.array(begins, np.intp), leaves_s
