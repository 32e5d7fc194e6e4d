"""Regression with costs that cannot be negative, where a small piece counts as much as a large one."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.errors import NotEnoughSamples

__all__ = ["relative_nnls"]

Floats = NDArray[np.float64]


def relative_nnls(features: Floats, seconds: Floats, floor_s: float = 1e-6) -> Floats:
    """Coefficients >= 0 that make the squared relative errors small.

    Parameters
    ----------
    features : (n, f)
    seconds : (n,) measured; below ``floor_s`` an error counts as if against the floor
    floor_s : what the clock cannot tell from zero

    Returns
    -------
    (f,) coefficients; predictions cannot fall below zero, so nothing is clamped

    Raises
    ------
    NotEnoughSamples : no rows

    Source: Lawson and Hanson's non-negative least squares, as in scipy.

    Examples
    --------
    >>> work = np.array([[1.0, 1e6], [1.0, 2e6], [1.0, 9e6]])
    >>> relative_nnls(work, np.array([3e-5, 4e-5, 11e-5])).round(13)
    array([2.e-05, 1.e-11])
    """
    from scipy.optimize import nnls

    if not len(features):
        raise NotEnoughSamples("a regression needs at least one measurement")
    weights = 1.0 / np.maximum(seconds, floor_s)
    scale = np.maximum(np.abs(features).max(0), np.finfo(float).tiny)
    found, _ = nnls(features / scale * weights[:, None], seconds * weights)
    return np.asarray(found / scale, np.float64)
