"""The least product of many rows with a vector, without looking at most of the rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.settings import TINY

__all__ = ["BoundTree"]

Floats = NDArray[np.float64]
Index = NDArray[np.intp]

_LEAF_ROWS = 32
_FAN_OUT = 32
_ROUNDING = 1.0 + 1e-12


@dataclass(frozen=True)
class BoundTree:
    """Rows in groups of similar ones; a group knows the least coefficient of each column.

    The vector has no negative entry, so the product of these least coefficients is a lower bound for every row of the
    group: exact branch and bound. ``levels`` go from the whole to the rows, each (groups, fan-out, C). Where rows carry
    J limits, ``limits`` has the same groups with J x C columns, and only rows whose J products there are at most
    ``most`` (J,) count.
    ``index`` (groups, fan-out) are the indices of the rows.

    Examples
    --------
    >>> tree = BoundTree.of(np.array([[1.0, 5.0], [4.0, 1.0], [5.0, 5.0]]), np.arange(3), np.ones(2))
    >>> tree.least(np.array([1.0, 2.0]))
    (1, 6.0)
    """

    levels: tuple[Floats, ...]
    limits: tuple[Floats, ...]
    index: Index
    most: Floats

    @classmethod
    def of(
        cls, rows: Floats, index: Index, scale: Floats, limits: Floats | None = None, most: Floats | None = None
    ) -> BoundTree:
        """Group the rows.

        Parameters
        ----------
        rows : (n, C) coefficients >= 0, at least one row
        index : (n,) what to call them; of rows equally low the lowest index is found
        scale : (C,) usual values of the vector, so that groups are tight where it matters
        limits : (n, J, C) coefficients >= 0 of each row's limits
        most : (J,) how large their products may be
        """
        order = _grouped(rows * scale)
        if limits is None or most is None or not len(most):
            return cls(_levels(rows[order]), (), index[order], np.empty(0))
        bounds = _levels(limits.reshape(len(limits), -1)[order])
        return cls(_levels(rows[order]), bounds, index[order], most + TINY)

    def __len__(self) -> int:
        return int(self.index.size)

    def least(self, vector: Floats, ceiling: float = np.inf) -> tuple[int, float]:
        """Index and product of the lowest row; -1 and infinity if there is none at or below ``ceiling``.

        Parameters
        ----------
        vector : (C,) not negative
        ceiling : the product of a row known to count, such as that of the last answer
        """
        bound = self._bounds(0, np.zeros(1, np.intp), vector)[0]
        if len(self.levels) > 1:
            ceiling = min(ceiling, self._greedy(int(bound.argmin()), vector))
            if ceiling == np.inf:
                return self._in_rounds(bound, vector)
        return self._open(np.flatnonzero(bound <= _above(ceiling)), vector, ceiling, bound)

    def _bounds(self, level: int, groups: Index, vector: Floats) -> Floats:
        """(groups, fan-out) products; infinite where the limit is broken."""
        block = self.levels[level][groups]
        products = (block.reshape(-1, len(vector)) @ vector).reshape(block.shape[:2])
        if self.limits:
            spent = self.limits[level][groups].reshape(-1, len(vector)) @ vector
            over = spent.reshape(*products.shape, len(self.most)) > self.most
            products[over.any(-1)] = np.inf
        return np.asarray(products)

    def _greedy(self, group: int, vector: Floats) -> float:
        """The lowest row on the way down that takes the lowest bound at every level."""
        for level in range(1, len(self.levels)):
            bound = self._bounds(level, np.array([group]), vector)[0]
            at = int(bound.argmin())
            group = group * len(bound) + at
        return float(bound[at])

    def _in_rounds(self, bound: Floats, vector: Floats) -> tuple[int, float]:
        """Open the groups from the lowest bound on, ever more at a time, until no bound is low enough."""
        order = bound.argsort()
        order = order[np.isfinite(bound[order])]
        best, start, many = (-1, np.inf), 0, 8
        while start < len(order) and bound[order[start]] <= _above(best[1]):
            found = self._open(order[start : start + many], vector, best[1], bound)
            best = min(best, found, key=lambda one: (one[1], one[0])) if found[0] >= 0 else best
            start, many = start + many, many * 2
        return best

    def _open(self, groups: Index, vector: Floats, ceiling: float, bound: Floats) -> tuple[int, float]:
        """The lowest row below some groups of the first level."""
        values = bound[groups]
        for level in range(1, len(self.levels)):
            below = self._bounds(level, groups, vector)
            row, column = np.nonzero(below <= _above(ceiling))
            values = below[row, column]
            groups = groups[row] * below.shape[1] + column
        values, groups = values[np.isfinite(values)], groups[np.isfinite(values)]
        if not len(groups):
            return -1, np.inf
        least = values.min()
        return int(self.index[groups[values <= least + TINY / 2]].min()), float(least)


def _above(ceiling: float) -> float:
    return ceiling * _ROUNDING + TINY


def _grouped(points: Floats) -> Index:
    """An order in which neighbours are alike: halved again and again at the median of the widest column.

    Its length is a multiple of the group sizes; the last row is repeated for that.
    """
    count = len(points)
    halvings = max(0, int(np.ceil(np.log2(max(1, count / _LEAF_ROWS)))))
    groups = 2**halvings
    leaf = -(-count // groups)
    order = np.minimum(np.arange(groups * leaf), count - 1)
    for done in range(halvings):
        parts = order.reshape(2**done, -1)
        inside = points[parts]
        widest = (inside.max(1) - inside.min(1)).argmax(1)
        keys = np.take_along_axis(inside, widest[:, None, None], axis=2)[:, :, 0]
        order = np.take_along_axis(parts, keys.argsort(1, kind="stable"), axis=1).ravel()
    return order


def _levels(rows: Floats) -> tuple[Floats, ...]:
    """From the whole to the rows: (1, groups, C), then (groups, fan-out, C) until the rows themselves."""
    columns = rows.shape[1]
    leaves = 2 ** max(0, int(np.ceil(np.log2(max(1, len(rows) / _LEAF_ROWS)))))
    fan_out, result = len(rows) // leaves, [rows]
    while len(result[0]) > _FAN_OUT and len(result[0]) > fan_out:
        whole = result[0].reshape(-1, fan_out, columns)
        result[0] = whole
        result.insert(0, whole.min(1))
        fan_out = _FAN_OUT if len(result[0]) % _FAN_OUT == 0 and len(result[0]) > 16 * _FAN_OUT else len(result[0])
    result[0] = result[0][None]
    return tuple(result)
