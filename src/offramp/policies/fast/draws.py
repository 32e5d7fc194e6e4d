"""The numbers that many policies draw, a block at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK", "ManyDraws"]

#: numbers that `offramp.policies.draws.Draws` draws at once, and hands out from the last to the first
BLOCK = 256


class ManyDraws:
    """What `Draws` would hand out next, for each of many seeds.

    Examples
    --------
    >>> from offramp.policies.draws import Draws
    >>> many, one = ManyDraws([3, 4]), Draws(4)
    >>> bool((many.block()[:, 1] == [one.next() for _ in range(BLOCK)]).all())
    True
    """

    def __init__(self, seeds: Sequence[int] | NDArray[np.int64]) -> None:
        self._generators = [np.random.Generator(np.random.PCG64(int(seed))) for seed in seeds]

    def block(self) -> NDArray[np.float64]:
        """(256, s) the next numbers, in the order they are handed out."""
        return np.stack([generator.random(BLOCK)[::-1] for generator in self._generators], 1)
