"""Many distributions over a grid of thresholds, asked and changed together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["LEAST", "ManyWeights", "Place"]

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]
#: no weight falls below it
LEAST = 1e-250


class Place(NamedTuple):
    """Where s samples stand in s distributions: weight below, and what `ManyWeights.scale` needs of it."""

    weight: Floats
    block: Ints
    blocks_below: Floats
    within_below: Floats
    inside: Floats


class ManyWeights:
    """As many of `offramp.policies.threshold_tree.ThresholdTree`, with the same weights but for rounding.

    Thresholds stand in blocks of about sqrt(2^b): the weights of the blocks add up to 1, and so do those within a
    block, so that a change of everything below a threshold touches two rows of them.

    Parameters
    ----------
    bits : b of the thresholds
    count : s of the distributions

    Examples
    --------
    >>> many = ManyWeights(2, 2)
    >>> place = many.below(np.array([1, 4]))
    >>> place.weight.tolist()
    [0.25, 1.0]
    >>> many.scale(place, np.array([3.0, 7.0]))
    >>> many.below(np.array([1, 3])).weight.tolist()
    [0.5, 0.75]
    """

    def __init__(self, bits: int, count: int) -> None:
        self.size, self._low = 1 << bits, bits - bits // 2
        blocks, within = 1 << (bits // 2), 1 << self._low
        self._blocks = np.full((count, blocks), 1.0 / blocks)
        self._within = np.full((count * blocks, within), 1.0 / within)
        self._begin = np.arange(count) * blocks
        # row k has ones below k; the last row is for what lies above everything
        self._of_blocks = np.tri(blocks + 1, blocks, -1)
        self._of_within = np.tri(within, within, -1)

    def below(self, at: Ints) -> Place:
        """Weight of the thresholds 0 to at - 1 of every distribution.

        Parameters
        ----------
        at : (s,) in [0, 2^b]
        """
        block = at >> self._low
        blocks_below = self._of_blocks.take(block, axis=0)
        within_below = self._of_within.take(at & (self._of_within.shape[1] - 1), axis=0)
        np.minimum(block, self._blocks.shape[1] - 1, out=block)
        row = self._begin + block
        inside = self._within.take(row, axis=0)
        share_below = np.einsum("ij,ij->i", inside, within_below)
        block_weight = self._blocks.ravel()[row]
        weight = np.einsum("ij,ij->i", self._blocks, blocks_below) + block_weight * share_below
        return Place(weight, row, blocks_below, within_below, inside)

    def scale(self, place: Place, factor: Floats) -> None:
        """Multiply the weights below the places by (s,) factors, relative to the others.

        Sums are added up anew, so that what is left of a weight of almost one is not a difference.
        """
        more = (factor - 1.0)[:, None]
        inside, rows = place.within_below, place.blocks_below
        inside *= more
        inside += 1.0
        inside *= place.inside
        grown = np.einsum("ij->i", inside)
        inside /= grown[:, None]
        self._within[place.block] = inside
        whole = rows[:, -1] == 1.0  # everything lies below: nothing changes relative to anything
        rows *= more
        rows += 1.0
        flat = rows.ravel()
        flat[place.block] = np.where(whole, flat[place.block], grown)
        self._blocks *= rows
        self._blocks /= np.einsum("ij->i", self._blocks)[:, None]

    def settle(self) -> None:
        """Keep every weight above 0; call it now and then."""
        for weights in (self._blocks, self._within):
            np.maximum(weights, LEAST, out=weights)
            weights /= weights.sum(1, keepdims=True)
