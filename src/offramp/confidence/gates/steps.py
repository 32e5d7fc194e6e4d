"""What going on is worth, as a falling step function of the confidence."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["falling_steps"]

Floats = NDArray[np.float64]
_BINS = 100  # equal in rows


def falling_steps(confidence: Floats, worth: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Isotonic regression of what going on was worth on the confidence.

    Parameters
    ----------
    confidence : (n,)
    worth : (n,) in [-1, 1], whether the later exit is right less whether this one is

    Returns
    -------
    edges (s,), rising, and values (s + 1,), falling: the first holds below the first edge

    Examples
    --------
    >>> falling_steps(np.array([0.5, 0.6, 0.8, 0.9]), np.array([1.0, 0.0, 1.0, 0.0]))
    ((0.599, 0.897), (1.0, 0.5, 0.0))
    """
    from scipy.optimize import isotonic_regression  # fitting alone needs scipy; a device only scores

    cuts = np.unique(np.quantile(confidence, np.arange(1, _BINS) / _BINS))
    cuts = cuts[cuts > confidence.min()]
    where = np.searchsorted(cuts, confidence, side="right")
    rows = np.bincount(where, minlength=len(cuts) + 1)
    used = np.flatnonzero(rows)
    mean = np.bincount(where, worth, minlength=len(cuts) + 1)[used] / rows[used]
    fitted = isotonic_regression(mean, weights=rows[used], increasing=False).x
    falls = np.flatnonzero(np.diff(fitted) < -1e-12)
    edges = cuts[used[falls + 1] - 1]
    return tuple(edges.tolist()), tuple(fitted[np.append(falls, len(fitted) - 1)].tolist())
