"""How often something happens to the rows under many gate settings, counted exactly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = ["Counter", "GridCounter", "ListCounter", "exits_taken"]

Counts = NDArray[np.int64]
Floats = NDArray[np.float64]


class Counter(Protocol):
    """Counts over m gate settings and n rows."""

    @property
    def rows(self) -> int:
        """n."""

    @property
    def thresholds(self) -> Floats:
        """(m, E - 1); infinity is off."""

    def count(self, values: NDArray[np.bool_]) -> Counts:
        """(m,) how many rows have ``values[exit they leave by, row]``; ``values`` (E, n)."""


@dataclass(frozen=True)
class GridCounter:
    """All combinations of one threshold per early exit, in C order.

    A row leaves at exit e when its score is below the thresholds of all exits before e and not below that of e, so
    counts are differences of cumulative joint histograms over threshold intervals: O(rows + cells) for all at once.

    Parameters
    ----------
    grid : ascending thresholds of every early exit, the last one infinite ("never")
    buckets : (E - 1) times (n,), how many thresholds a row reaches; it leaves under index i when bucket > i

    Examples
    --------
    >>> grid = (np.array([0.0, 0.5, np.inf], np.float32),)
    >>> counter = GridCounter.of(grid, np.array([[0.2, 0.7]], np.float32))
    >>> counter.count(np.array([[True, True], [False, False]]))
    array([2, 1, 0])
    """

    grid: tuple[NDArray[np.float32], ...]
    buckets: tuple[NDArray[np.intp], ...]
    rows: int

    @classmethod
    def of(cls, grid: Sequence[NDArray[np.float32]], score: NDArray[np.float32]) -> GridCounter:
        """Sort the rows of ``score`` (E - 1, n) into the grid."""
        buckets = [np.searchsorted(g[:-1], s, side="right") for g, s in zip(grid, score, strict=True)]
        return cls(tuple(grid), tuple(buckets), score.shape[1])

    @property
    def shape(self) -> tuple[int, ...]:
        """Choices per early exit, "never" among them."""
        return tuple(len(thresholds) for thresholds in self.grid)

    def __len__(self) -> int:
        return int(np.prod(self.shape))

    @property
    def thresholds(self) -> Floats:
        """(m, E - 1); infinity is off."""
        return self.thresholds_of(np.arange(len(self)))

    def thresholds_of(self, settings: NDArray[np.integer]) -> Floats:
        """(k, E - 1) thresholds of k settings."""
        result = np.empty((len(settings), len(self.grid)))
        if self.grid:
            for axis, index in enumerate(np.unravel_index(settings, self.shape)):
                result[:, axis] = self.grid[axis][index]
        return result

    def count(self, values: NDArray[np.bool_]) -> Counts:
        """(m,) how many rows have ``values[exit they leave by, row]``; ``values`` (E, n)."""
        total = np.zeros(self.shape, np.int64)
        for index, hits in enumerate(values):
            if hits.any():
                total += self._staying(index, hits)
                if index < len(self.buckets):
                    total -= self._staying(index + 1, hits)
        return total.reshape(-1)

    def _staying(self, exits: int, only: NDArray[np.bool_]) -> Counts:
        """Of the rows ``only``, those that the first exits all let go on; broadcasts against the shape."""
        used = self.shape[:exits]
        if not exits:
            return np.full((1,) * len(self.shape), int(only.sum()), np.int64)
        cells = np.ravel_multi_index(tuple(bucket[only] for bucket in self.buckets[:exits]), used)
        counts = np.bincount(cells, minlength=int(np.prod(used))).reshape(used)
        for axis in range(len(used)):
            np.cumsum(counts, axis=axis, out=counts)
        return counts.reshape(*used, *(1,) * (len(self.shape) - exits))


@dataclass(frozen=True)
class ListCounter:
    """Some gate settings, one by one.

    Parameters
    ----------
    thresholds : (m, E - 1), infinity is off
    taken : (m, n) exit every row leaves by

    Examples
    --------
    >>> counter = ListCounter.of(np.array([[0.5], [np.inf]]), np.array([[0.2, 0.7]], np.float32))
    >>> counter.count(np.array([[True, True], [False, False]]))
    array([1, 0])
    """

    thresholds: Floats
    taken: NDArray[np.uint8]

    @classmethod
    def of(cls, thresholds: Floats, score: NDArray[np.float32]) -> ListCounter:
        """Send the rows of ``score`` (E - 1, n) through every setting."""
        taken = np.empty((len(thresholds), score.shape[1]), np.uint8)
        for index, setting in enumerate(thresholds):
            taken[index] = exits_taken(score, setting)
        return cls(thresholds, taken)

    @property
    def rows(self) -> int:
        """n."""
        return int(self.taken.shape[1])

    def __len__(self) -> int:
        return len(self.thresholds)

    def count(self, values: NDArray[np.bool_]) -> Counts:
        """(m,) how many rows have ``values[exit they leave by, row]``; ``values`` (E, n)."""
        total = np.zeros(len(self), np.int64)
        for index, hits in enumerate(values):
            total += (self.taken[:, hits] == index).sum(1)
        return total


def exits_taken(score: NDArray[np.float32], thresholds: Floats) -> NDArray[np.intp]:
    """(n,) exit every row leaves by under one setting.

    Parameters
    ----------
    score : (E - 1, n)
    thresholds : (E - 1,), infinity is off

    Examples
    --------
    >>> exits_taken(np.array([[0.4, 0.9]], np.float32), np.array([0.5]))
    array([1, 0])
    """
    early, rows = score.shape
    stops = np.ones((early + 1, rows), bool)
    stops[:-1] = score >= thresholds[:, None].astype(np.float32)
    return np.asarray(stops.argmax(0))
