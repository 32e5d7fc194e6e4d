"""An exact test of a mean of losses that are -1, 0 or 1: what early exits cost against the last one.

A row loses (1) where the answer taken is wrong and the last exit is right, wins (-1) where it is the other
way round, and is even (0) elsewhere. With n rows the difference T = worse - better of losses and wins is
sufficient for the mean but for one nuisance, the share q of rows that are not even. The test takes q at an
upper bound (Berger and Boos 1994), and there the tail of T is known exactly.

Why the upper bound is the worst case: mass moved from 0 to both -1 and 1 changes P(T <= t) by
n / 2 * (P(S = t + 1) - P(S = t)) with S the sum over n - 1 rows. For q <= 1/2 the generating polynomial of
one row has real roots, so S is a sum of 2 (n - 1) Bernoulli variables: unimodal, its mode within 1 of its
mean (Darroch 1964). Hence P(T <= t) rises with q wherever t + 2 <= (n - 1) * limit; elsewhere the p-value is
taken as 1.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from offramp.confidence.bounds.binomial import clopper_pearson_upper

__all__ = ["NUISANCE", "signed_p_value", "signed_upper"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: part of the error budget spent on bounding how many rows are not even
NUISANCE = 0.05
_STEPS = 40
_CUT = 1e-15


def signed_p_value(worse: ArrayLike, better: ArrayLike, rows: int, limit: float, delta: float = 0.05) -> Floats:
    """P-value of "the mean of the signed losses is above ``limit``".

    Parameters
    ----------
    worse, better : counts of losses and of wins, any (common) shape
    rows : n
    limit : in (0, 1)
    delta : level the test is meant for: it fixes how the error is divided, `NUISANCE` * ``delta`` for the bound on
        the share of rows that are not even

    Returns
    -------
    array : same shape; at most ``delta`` with probability at most ``delta`` where the mean is ``limit`` or more

    Examples
    --------
    >>> float(signed_p_value(15, 12, 2000, 0.01).round(4))
    0.0084
    """
    lost, won = np.broadcast_arrays(np.asarray(worse, np.int64), np.asarray(better, np.int64))
    uneven, difference = (lost + won).ravel(), (lost - won).ravel()
    p = np.ones(len(uneven))
    for count in np.unique(uneven):
        here = np.flatnonzero(uneven == count)
        p[here] = _p_values(difference[here], int(count), rows, limit, NUISANCE * delta)
    return p.reshape(lost.shape)


def signed_upper(worse: int, better: int, rows: int, delta: float) -> float:
    """Bound that the true mean exceeds with probability at most ``delta``.

    Examples
    --------
    >>> round(signed_upper(15, 12, 2000, 0.05), 4)
    0.0073
    """
    low, high = max(0.0, (worse - better) / rows), 1.0
    for _ in range(_STEPS):
        middle = (low + high) / 2
        if middle > 0 and float(signed_p_value(worse, better, rows, middle, delta)) <= delta:
            high = middle
        else:
            low = middle
    return high


def _p_values(difference: Ints, uneven: int, rows: int, limit: float, nuisance: float) -> Floats:
    """P-values of the differences (m,) seen with so many uneven rows."""
    highest = float(clopper_pearson_upper(uneven, rows, nuisance))
    if highest < limit:  # so few uneven rows contradict the mean by themselves
        return np.full(len(difference), nuisance)
    if highest > 0.5:  # the exact tail is not known to be the worst: Hoeffding
        gap = np.maximum(0.0, limit - difference / rows)
        return np.asarray(np.exp(-rows * gap**2 / 2.0))
    p = np.ones(len(difference))
    inside = difference + 2 <= (rows - 1) * limit
    if inside.any():
        tail = _tail(difference[inside], rows, (highest + limit) / 2, (highest - limit) / 2)
        p[inside] = np.minimum(1.0, tail + nuisance)
    return p


def _tail(difference: Ints, rows: int, lose: float, win: float) -> Floats:
    """P(T <= difference) for so many rows that lose and win with these probabilities."""
    even = 1.0 - lose - win
    root = math.sqrt(even * even - 4.0 * lose * win)
    # the polynomial win + even z + lose z^2 is that of two Bernoulli variables, one of them shifted by -1
    plus_from, plus = _window(rows, 2.0 * lose / (2.0 * lose + even + root))
    minus_from, minus = _window(rows, 2.0 * win / (2.0 * win + even + root))
    below = np.cumsum(np.convolve(plus, minus[::-1]))
    lowest = plus_from - (minus_from + len(minus) - 1)
    at = np.clip(difference - lowest, -1, len(below) - 1)
    return np.where(at < 0, 0.0, below[at]) + 4.0 * _CUT


def _window(rows: int, probability: float) -> tuple[int, Floats]:
    """First count and probabilities of the counts of a binomial, without `_CUT` of each tail."""
    first, last = (int(special.bdtrik(q, rows, probability)) for q in (_CUT, 1.0 - _CUT))
    first, last = max(0, first - 1), min(rows, last + 2)
    counts = np.arange(first, last + 1)
    return first, stats.binom.pmf(counts, rows, probability)
