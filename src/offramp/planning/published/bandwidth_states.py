"""States of a link: a mean bandwidth and how far it swings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from offramp.errors import ConfigError

__all__ = ["BandwidthState", "nearest_state", "usual_states"]


@dataclass(frozen=True, slots=True)
class BandwidthState:
    """Mean and standard deviation of the bandwidth over a short while.

    Raises
    ------
    ConfigError : the mean is not above zero, or the deviation below it

    Examples
    --------
    >>> BandwidthState(2e6, 1e6).effective_bps
    1600000.0
    """

    mean_bps: float
    std_bps: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean_bps) and self.mean_bps > 0 and 0 <= self.std_bps < math.inf):
            raise ConfigError(f"bandwidth state: {self.mean_bps} with deviation {self.std_bps} is no bandwidth")

    @property
    def effective_bps(self) -> float:
        """One over the mean of 1 / bandwidth, were the bandwidth log-normal: what a mean transfer goes by."""
        return self.mean_bps / (1.0 + (self.std_bps / self.mean_bps) ** 2)


def usual_states(
    low_bps: float = 5e4, high_bps: float = 1e8, means: int = 60, spreads: Sequence[float] = (0.0, 0.25, 0.5, 1.0)
) -> tuple[BandwidthState, ...]:
    """Means at equal ratios, each with these deviations relative to it.

    Examples
    --------
    >>> usual_states(1e5, 1e6, means=2, spreads=[0.5])
    (BandwidthState(mean_bps=100000.0, std_bps=50000.0), BandwidthState(mean_bps=1000000.0, std_bps=500000.0))
    """
    grid = np.geomspace(low_bps, high_bps, means).round(6).tolist()
    return tuple(BandwidthState(mean, mean * spread) for mean in grid for spread in spreads)


def nearest_state(states: Sequence[BandwidthState], mean_bps: float, std_bps: float) -> int:
    """Index of the state nearest in mean and deviation, by Euclid; the first of equally near ones.

    Examples
    --------
    >>> nearest_state([BandwidthState(1e6), BandwidthState(3e6)], 1.9e6, 0.0)
    0
    """
    points = np.array([(state.mean_bps, state.std_bps) for state in states])
    return int(np.hypot(points[:, 0] - mean_bps, points[:, 1] - std_bps).argmin())
