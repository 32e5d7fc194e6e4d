"""Which plan is best at which bandwidth of a link: exact, from the lines of the prepared pairs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.settings import TINY
from offramp.errors import ConfigError
from offramp.planning.replanner import Choice, Replanner

__all__ = ["Interval", "configuration_map"]

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """From ``low_bps`` to ``high_bps`` ``choice`` is the best; its value is that at ``high_bps``."""

    low_bps: float
    high_bps: float
    choice: Choice


def configuration_map(
    replanner: Replanner,
    link: int,
    low_bps: float,
    high_bps: float,
    *,
    bandwidth_bps: float | Sequence[float] | None = None,
    rtt_s: float | Sequence[float] | None = None,
    load: float | Sequence[float] = 1.0,
) -> list[Interval]:
    """The best pair at every bandwidth of one link, all else fixed: intervals from low to high.

    What is minimised is a straight line in x = 1 / bandwidth, so the best pair changes only where two lines cross, or,
    with a deadline or arrivals, where the pair in use begins to break a limit. Starting at the highest bandwidth, the
    next change is the nearest of these; every step is one pass over the prepared pairs. Bandwidths at which no pair
    keeps the limits are left out: they are the lowest ones, and the list may be empty.

    Parameters
    ----------
    link : index in the network
    bandwidth_bps, rtt_s, load : as for `Replanner.replan`; the bandwidth of ``link`` itself is not used

    Raises
    ------
    ConfigError : no such link, or not 0 < low_bps < high_bps
    """
    links = replanner.network.links
    if not 0 <= link < len(links):
        raise ConfigError(f"link {link}: the network has {len(links)}, numbered from 0")
    if not 0.0 < low_bps < high_bps < math.inf:
        raise ConfigError(f"bandwidths must be above zero, finite and rising, not {low_bps} to {high_bps}")
    vector, tiers = replanner.vector(bandwidth_bps, rtt_s, load)
    index, start, slope, most = _lines(replanner, vector, tiers, replanner.conditions.link_column(link))
    found: list[Interval] = []
    x, end = 1.0 / high_bps, 1.0 / low_bps
    while x < end:
        best = _best(index, start + slope * x, slope, most > x if found else most >= x)
        if best is None:
            break
        until = min(end, float(most[best]), _crossing(x, best, start, slope, most))
        low = low_bps if until >= end else 1.0 / until
        high = found[-1].low_bps if found else high_bps
        found.append(Interval(low, high, Choice(int(index[best]), float(start[best] + slope[best] * x))))
        x = until
    return found[::-1]


def _lines(
    replanner: Replanner, vector: Floats, tiers: int, column: int
) -> tuple[NDArray[np.intp], Floats, Floats, Floats]:
    """Every pair in one column: index, value at zero, slope, and the most that keeps its limits, or -1."""
    index, mean, limits = replanner.rows(tiers)
    rest = vector.copy()
    rest[column] = 0.0
    spare, slope = replanner.most + TINY - limits @ rest, limits[:, :, column]
    most = np.where(slope > 0, spare / np.where(slope > 0, slope, 1.0), np.where(spare >= 0, np.inf, -1.0))
    return index, mean @ rest, mean[:, column], most.min(1, initial=np.inf)


def _best(index: NDArray[np.intp], latency: Floats, slope: Floats, allowed: NDArray[np.bool_]) -> int | None:
    """The lowest line; of equal ones the flattest, which stays lowest as x grows, then the lowest index."""
    latency = np.where(allowed, latency, np.inf)
    least = latency.min()
    if least == np.inf:
        return None
    tied = np.flatnonzero(latency <= least + TINY)
    return int(tied[np.lexsort((index[tied], slope[tied]))[0]])


def _crossing(x: float, best: int, start: Floats, slope: Floats, most: Floats) -> float:
    """The next x at which a flatter line that is allowed there comes below the best one; infinity if none does."""
    flatter = np.flatnonzero((slope < slope[best]) & (most > x))
    ahead = (start[flatter] - start[best]) / (slope[best] - slope[flatter])
    ahead = ahead[(ahead > x) & (ahead <= most[flatter])]
    return float(ahead.min()) if len(ahead) else math.inf
