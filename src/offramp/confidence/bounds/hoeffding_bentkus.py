"""Hoeffding's and Bentkus's inequalities for losses in [0, 1], the better of the two."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from offramp.confidence.bounds.checks import check_level

__all__ = ["hoeffding_bentkus_p_value", "hoeffding_bentkus_upper"]

Floats = NDArray[np.float64]
_STEPS = 60


def hoeffding_bentkus_p_value(mean: ArrayLike, rows: int, limit: float) -> Floats:
    """P-value of "the mean loss is above ``limit``".

    Parameters
    ----------
    mean : of the losses, any shape, in [0, 1]
    rows : n
    limit : in (0, 1)

    Source: Bates et al. 2021 (RCPS), used by Angelopoulos et al. 2021 (Learn then Test).

    Examples
    --------
    >>> float(hoeffding_bentkus_p_value(0.02, 1000, 0.03).round(4))
    0.0905
    """
    found = np.asarray(mean, np.float64)
    below = np.minimum(found, limit)
    entropy = special.rel_entr(below, limit) + special.rel_entr(1.0 - below, 1.0 - limit)
    bentkus = np.e * special.bdtr(np.ceil(rows * found - 1e-9), rows, limit)
    return np.asarray(np.minimum(1.0, np.minimum(np.exp(-rows * entropy), bentkus)))


def hoeffding_bentkus_upper(mean: float, rows: int, delta: float) -> float:
    """Bound that the true mean exceeds with probability at most ``delta``.

    Examples
    --------
    >>> round(hoeffding_bentkus_upper(0.0, 100, 0.1), 4)
    0.0228
    """
    check_level(delta)
    low, high = float(mean), 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle < 1.0 and hoeffding_bentkus_p_value(mean, rows, middle) > delta:
            low = middle
        else:
            high = middle
    return high
