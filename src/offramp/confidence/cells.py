"""Cells of a grid of gate settings that no cell below them equals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["rising_cells"]


def rising_cells(values: NDArray[np.int64]) -> NDArray[np.intp]:
    """Flat indices of the grid cells whose value is above that of every cell at or below them in all axes.

    Examples
    --------
    >>> rising_cells(np.array([[1, 1], [2, 2], [0, 3]]))
    array([0, 2, 5])
    """
    highest = values.copy()
    for axis in range(values.ndim):
        np.maximum.accumulate(highest, axis=axis, out=highest)
    rises = np.ones(values.shape, bool)
    for axis in range(values.ndim):
        later: list[slice] = [slice(None)] * values.ndim
        sooner = later.copy()
        later[axis], sooner[axis] = slice(1, None), slice(None, -1)
        rises[tuple(later)] &= values[tuple(later)] > highest[tuple(sooner)]
    return np.flatnonzero(rises)
