"""Exact statements about a share: Clopper-Pearson, and the binomial test it inverts."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from offramp.confidence.bounds.checks import check_level

__all__ = ["binomial_p_value", "clopper_pearson_lower", "clopper_pearson_upper", "rows_needed"]

Floats = NDArray[np.float64]


def binomial_p_value(count: ArrayLike, rows: ArrayLike, limit: float) -> Floats:
    """P-value of "the share is above ``limit``": P(Binomial(rows, limit) <= count).

    Parameters
    ----------
    count : how many of the rows lost, any shape
    rows : of how many
    limit : in (0, 1)

    Source: Angelopoulos et al. 2021 (Learn then Test), the binary loss.

    Examples
    --------
    >>> float(binomial_p_value(20, 1000, 0.03).round(4))
    0.0333
    """
    k, n = np.broadcast_arrays(np.asarray(count, np.float64), np.asarray(rows, np.int64))
    return np.where(n > 0, special.bdtr(k, np.maximum(n, 1), limit), 1.0)


def clopper_pearson_upper(count: ArrayLike, rows: ArrayLike, delta: float) -> Floats:
    """Bound that the true share exceeds with probability at most ``delta``.

    Examples
    --------
    >>> float(clopper_pearson_upper(0, 100, 0.05).round(4))
    0.0295
    """
    check_level(delta)
    k, n = np.broadcast_arrays(np.asarray(count, np.float64), np.asarray(rows, np.float64))
    inside = k < n
    bound = special.betaincinv(np.where(inside, k + 1, 1.0), np.where(inside, n - k, 1.0), 1.0 - delta)
    return np.where(inside, bound, 1.0)


def clopper_pearson_lower(count: ArrayLike, rows: ArrayLike, delta: float) -> Floats:
    """Bound that the true share falls below with probability at most ``delta``.

    Examples
    --------
    >>> float(clopper_pearson_lower(100, 100, 0.05).round(4))
    0.9705
    """
    k, n = np.broadcast_arrays(np.asarray(count, np.float64), np.asarray(rows, np.float64))
    return 1.0 - clopper_pearson_upper(n - k, n, delta)


def rows_needed(limit: float, delta: float) -> int:
    """The fewest rows that can certify a share of at most ``limit``, none of them lost.

    Examples
    --------
    >>> rows_needed(0.01, 0.05)
    299
    """
    check_level(delta)
    return math.ceil(math.log(delta) / math.log1p(-limit) - 1e-9)
