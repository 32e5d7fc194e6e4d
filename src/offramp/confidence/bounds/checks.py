"""What every bound asks of its arguments."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offramp.errors import ConfigError, NotEnoughSamples, SampleError

__all__ = ["check_level", "check_losses"]


def check_level(delta: float) -> float:
    """``delta`` if it lies in (0, 1).

    Raises
    ------
    ConfigError : it does not

    Examples
    --------
    >>> check_level(0.05)
    0.05
    """
    if not 0.0 < delta < 1.0:
        raise ConfigError(f"delta, the probability that a statement fails, must lie in (0, 1), not {delta}")
    return delta


def check_losses(losses: ArrayLike, low: float, high: float) -> NDArray[np.float64]:
    """Losses (n,) as float64.

    Raises
    ------
    NotEnoughSamples : there are none
    SampleError : NaN, or outside [low, high]

    Examples
    --------
    >>> check_losses([0, 1], 0, 1)
    array([0., 1.])
    """
    values = np.asarray(losses, np.float64)
    if values.ndim != 1 or not len(values):
        raise NotEnoughSamples(f"a bound needs at least one loss in one dimension, found shape {values.shape}")
    outside = ~((values >= low) & (values <= high))  # NaN is outside too
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise SampleError(f"the loss of row {row} is {values[row]}, outside [{low:g}, {high:g}]")
    return values
