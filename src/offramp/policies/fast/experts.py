"""Many sets of experts between the confidences met, asked and changed together."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.policies.fast.weights import LEAST, Place

__all__ = ["ManyExperts"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
Bools = NDArray[np.bool_]


class ManyExperts:
    """As many of `offramp.policies.pieces.Pieces` with one expert a piece, with the same weights but for rounding.

    Pieces end at multiples of 1 / 2^b. A level where no piece ends has the weight of the piece that holds it, so that
    it need not be looked for when a confidence first met splits the piece there. Levels stand in blocks, as in
    `ManyWeights`.

    Parameters
    ----------
    bits : b of the levels
    count : s of the sets

    Examples
    --------
    >>> many = ManyExperts(2, 2)
    >>> many.meet(np.array([1, 4]))
    >>> place = many.below(np.array([1, 3]))
    >>> place.weight.tolist()
    [0.5, 0.0]
    >>> many.scale(place, np.array([3.0, 7.0]))
    >>> many.below(np.array([1, 4])).weight.tolist()
    [0.75, 1.0]
    """

    def __init__(self, bits: int, count: int) -> None:
        self._low = bits - bits // 2
        blocks, within = 1 << (bits // 2), 1 << self._low
        self._begin = np.arange(count) * blocks
        # row k has ones below k; the last row is for what lies above everything
        self._of_blocks = np.tri(blocks + 1, blocks, -1)
        self._of_within = np.tri(within, within, -1)
        met = np.zeros((count, blocks * within), bool)
        met[:, -1] = True  # all of [0, 1] is one piece
        self.restart(met)

    @property
    def met(self) -> Bools:
        """(s, 2^b) whether a piece ends at level k + 1."""
        return np.asarray(self._met.reshape(len(self._begin), -1) > 0.0)

    def restart(self, met: Bools) -> None:
        """Experts that all weigh the same, on pieces that end where ``met`` (s, 2^b) says."""
        within = self._of_within.shape[1]
        self._met = met.reshape(-1, within).astype(np.float64)
        self._scales = np.ones((len(met), self._of_blocks.shape[1]))
        self._within = np.ones_like(self._met)
        self._sums = self._met.sum(1).reshape(self._scales.shape)

    def meet(self, at: Ints) -> None:
        """Split the pieces that hold the levels ``at`` (s,) there."""
        level = at - 1
        row, column = self._begin + (level >> self._low), level & (self._of_within.shape[1] - 1)
        new = ((at > 0) & (self._met[row, column] == 0.0)).nonzero()[0]
        if len(new):
            place = row[new], column[new]
            self._met[place] = 1.0
            self._sums.ravel()[row[new]] += self._within[place]

    def below(self, at: Ints) -> Place:
        """Weight of the pieces that end at levels 1 to ``at`` (s,)."""
        block = at >> self._low
        blocks_below = self._of_blocks.take(block, axis=0)
        within_below = self._of_within.take(at & (self._of_within.shape[1] - 1), axis=0)
        np.minimum(block, self._scales.shape[1] - 1, out=block)
        row = self._begin + block
        inside = self._within.take(row, axis=0)
        masses = self._scales * self._sums
        here = np.einsum("ij,ij,ij->i", inside, self._met.take(row, axis=0), within_below)
        weight = np.einsum("ij,ij->i", masses, blocks_below) + self._scales.ravel()[row] * here
        return Place(weight / np.einsum("ij->i", masses), row, blocks_below, within_below, inside)

    def scale(self, place: Place, factor: Floats) -> None:
        """Multiply the weights of the pieces up to the places by (s,) factors, relative to the others."""
        more = (factor - 1.0)[:, None]
        inside, rows = place.within_below, place.blocks_below
        inside *= more
        inside += 1.0
        inside *= place.inside
        self._within[place.block] = inside
        self._sums.ravel()[place.block] = np.einsum("ij,ij->i", inside, self._met.take(place.block, axis=0))
        rows *= more
        rows += 1.0
        self._scales *= rows

    def settle(self) -> None:
        """Keep every weight above 0 and below infinity; call it now and then."""
        most = self._within.max(1)
        self._within /= most[:, None]
        np.maximum(self._within, LEAST, out=self._within)
        self._scales *= most.reshape(self._scales.shape)
        self._sums = np.einsum("ij,ij->i", self._within, self._met).reshape(self._scales.shape)
        self._scales /= self._scales.max(1, keepdims=True)
        np.maximum(self._scales, LEAST, out=self._scales)
