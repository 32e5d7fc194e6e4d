"""When samples arrive."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError

__all__ = ["evenly", "poisson"]


def evenly(rate_hz: float, samples: int) -> NDArray[np.float64]:
    """(n,) arrival seconds at a fixed rate, the first at 0.

    Examples
    --------
    >>> evenly(2.0, 3)
    array([0. , 0.5, 1. ])
    """
    return np.arange(samples) / _positive(rate_hz)


def poisson(rate_hz: float, samples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """(n,) arrival seconds of a Poisson process.

    Examples
    --------
    >>> times = poisson(100.0, 10_000, np.random.default_rng(0))
    >>> round(times[-1] / 10)  # 10,000 samples at 100 Hz: about 100 s
    10
    """
    return np.cumsum(rng.exponential(1.0 / _positive(rate_hz), samples))


def _positive(rate_hz: float) -> float:
    if not (np.isfinite(rate_hz) and rate_hz > 0):
        raise ConfigError(f"an arrival rate must be a positive number, not {rate_hz}")
    return rate_hz
