"""Weights over a grid of thresholds, as odds in a binary tree."""

from __future__ import annotations

from itertools import pairwise

__all__ = ["ThresholdTree"]

_MOST = 1e200


class ThresholdTree:
    """A distribution over 2^b thresholds; asking it and changing it take b steps, and nothing ever overflows.

    Threshold k stands for those in (k / 2^b, (k + 1) / 2^b]. Every node holds the odds of its lower half against its
    upper half, at most 1e200 either way: beyond that the exact weights would differ in nothing that is ever decided.

    Parameters
    ----------
    bits : b, in [1, 16]

    Examples
    --------
    >>> tree = ThresholdTree(2)
    >>> tree.below(1)
    0.25
    >>> tree.scale(1, 3.0)  # the lowest threshold weighs three times as much
    >>> tree.below(1), tree.below(4)
    (0.5, 1.0)
    """

    __slots__ = ("bits", "odds", "size")

    def __init__(self, bits: int) -> None:
        if not 1 <= bits <= 16:
            raise ValueError(f"thresholds have 1 to 16 bits, not {bits}")
        self.bits, self.size = bits, 1 << bits
        self.odds = [1.0] * self.size  # node i has the children 2 i and 2 i + 1; the root is 1

    def below(self, at: int) -> float:
        """Weight of the thresholds 0 to at - 1."""
        half = self.size >> 1
        if at >= self.size:
            return 1.0
        odds = self.odds
        weight, share, node = 0.0, 1.0, 1
        while half:
            here = odds[node]
            if at & half:
                upper = share / (1.0 + here)
                weight += share - upper
                share = upper
                node += node + 1
            else:
                share *= here / (1.0 + here)
                node += node
            half >>= 1
        return weight

    def scale(self, at: int, factor: float) -> None:
        """Multiply the weights of the thresholds 0 to at - 1, relative to the others."""
        if at <= 0 or at >= self.size:
            return
        odds = self.odds
        node, changed = self.size + at, 1.0  # how the weight below this node changes
        while node > 1:
            parent = node >> 1
            before = odds[parent]
            if node & 1:
                low = before * factor
                after = low / changed
                changed = (low + changed) / (1.0 + before)
            else:
                after = before * changed
                changed = (after + 1.0) / (1.0 + before)
            odds[parent] = after if 1.0 / _MOST < after < _MOST else _MOST if after > 1.0 else 1.0 / _MOST
            node = parent

    def weights(self) -> list[float]:
        """Of every threshold, for tests and pictures."""
        edges = [self.below(at) for at in range(self.size + 1)]
        return [high - low for low, high in pairwise(edges)]

    def take(self, odds: list[float]) -> None:
        """Take back odds that were written to JSON.

        Raises
        ------
        ValueError : another number of them, or not all above 0
        """
        if len(odds) != self.size or not all(0 < one < 2 * _MOST for one in odds):
            raise ValueError("its odds do not fit its thresholds")
        self.odds = [float(one) for one in odds]
