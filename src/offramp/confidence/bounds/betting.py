"""The betting bound of Waudby-Smith and Ramdas: losses anywhere in an interval, any number of rows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offramp.confidence.bounds.checks import check_level, check_losses

__all__ = ["betting_p_value", "betting_upper"]

Floats = NDArray[np.float64]
_STEPS = 40
_MOST = 1.0 - 1e-9


def betting_upper(losses: ArrayLike, delta: float, low: float = 0.0, high: float = 1.0) -> float:
    """Bound that the true mean exceeds with probability at most ``delta``.

    Parameters
    ----------
    losses : (n,) in [low, high], in an order that does not depend on their values
    delta : in (0, 1)

    Raises
    ------
    NotEnoughSamples : no losses
    SampleError : a loss outside the interval

    Source: Waudby-Smith and Ramdas 2023, "Estimating means of bounded random variables by betting".

    Examples
    --------
    >>> round(betting_upper(np.zeros(1000), 0.1), 5)
    0.00237
    """
    bets, scaled = _bets(losses, check_level(delta), low, high)
    target = math.log(1.0 / delta)
    if _wealth(bets, scaled, 1.0) <= target:
        return high
    below, above = 0.0, 1.0
    for _ in range(_STEPS):
        middle = (below + above) / 2
        below, above = (below, middle) if _wealth(bets, scaled, middle) > target else (middle, above)
    return low + (high - low) * above


def betting_p_value(losses: ArrayLike, limit: float, delta: float, low: float = 0.0, high: float = 1.0) -> float:
    """P-value of "the mean is above ``limit``"; ``delta`` tunes the bets and may be any level.

    Examples
    --------
    >>> losses = np.tile([0.0, 0.0, 0.0, 0.0, 0.1], 200)
    >>> betting_p_value(losses, limit=0.05, delta=0.1) < 0.001
    True
    """
    bets, scaled = _bets(losses, check_level(delta), low, high)
    return min(1.0, math.exp(-_wealth(bets, scaled, (limit - low) / (high - low))))


def _bets(losses: ArrayLike, delta: float, low: float, high: float) -> tuple[Floats, Floats]:
    """Bet on every loss, from the losses before it alone, and the losses scaled to [0, 1]."""
    x = (check_losses(losses, low, high) - low) / (high - low)
    rows = len(x)
    count = np.arange(1, rows + 1)
    mean = (0.5 + np.cumsum(x)) / (count + 1)
    variance = (0.25 + np.cumsum((x - mean) ** 2)) / (count + 1)
    before = np.concatenate([[0.25], variance[:-1]])
    return np.minimum(_MOST, np.sqrt(2.0 * math.log(1.0 / delta) / (rows * before))), x


def _wealth(bets: Floats, scaled: Floats, mean: float) -> float:
    """Highest log wealth on the way if the mean were ``mean``."""
    return float(np.cumsum(np.log1p(-bets * (scaled - mean))).max())
