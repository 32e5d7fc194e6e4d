"""Which points no other point beats."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["pareto_front", "thin", "undominated_rows"]

Floats = NDArray[np.float64]


def pareto_front(cost: Floats, value: Floats) -> NDArray[np.intp]:
    """Indices of the points that no other beats in both low cost and high value, cost ascending.

    Of equal points the first stays.

    Examples
    --------
    >>> pareto_front(np.array([3.0, 1.0, 2.0, 2.0]), np.array([0.9, 0.5, 0.8, 0.7]))
    array([1, 2, 0])
    """
    order = np.lexsort((-value, cost))  # stable: equal points keep their order
    best_before = np.maximum.accumulate(value[order])
    rises = np.ones(len(order), bool)
    rises[1:] = value[order][1:] > best_before[:-1]
    return np.asarray(order[rises])


def thin(front: NDArray[np.intp], most: int, keep: NDArray[np.bool_]) -> NDArray[np.intp]:
    """About ``most`` points of a front at equal steps, its ends and those to ``keep`` among them.

    Parameters
    ----------
    front : (m,) indices
    keep : (m,) bool

    Examples
    --------
    >>> thin(np.arange(10), 4, np.arange(10) == 5)
    array([0, 4, 5, 9])
    """
    if len(front) <= most:
        return front
    steps = np.linspace(0, len(front) - 1, most - int(keep.sum())).round().astype(np.intp)
    return np.asarray(front[np.union1d(steps, np.flatnonzero(keep))])


def undominated_rows(costs: Floats) -> NDArray[np.intp]:
    """Rows of (P, E) that no other row is at most equal to in every column; the first of equal rows.

    Examples
    --------
    >>> undominated_rows(np.array([[1.0, 4.0], [2.0, 4.0], [3.0, 1.0], [3.0, 1.0]]))
    array([0, 2])
    """
    order = np.lexsort((*costs.T[::-1], costs.sum(1)))  # a row comes after every row that beats it
    left = costs[order]
    kept: list[int] = []
    while len(order):
        kept.append(int(order[0]))
        stay = (left < left[0]).any(1)
        order, left = order[stay], left[stay]
    return np.sort(np.array(kept, np.intp))
