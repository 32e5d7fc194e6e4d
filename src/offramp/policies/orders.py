"""The orders in which samples come, and the seeds that go with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError

__all__ = ["Orders"]


@dataclass(frozen=True)
class Orders:
    """Shuffles of n samples.

    Parameters
    ----------
    order : (s, n) rows in the order asked
    policy_seed, audit_seed : (s,)

    Examples
    --------
    >>> orders = Orders.draw(4, shuffles=2, seed=0)
    >>> orders.order.shape, np.sort(orders.order).tolist()
    ((2, 4), [[0, 1, 2, 3], [0, 1, 2, 3]])
    """

    order: NDArray[np.intp]
    policy_seed: NDArray[np.int64]
    audit_seed: NDArray[np.int64]

    @classmethod
    def draw(cls, samples: int, shuffles: int, seed: int = 0) -> Orders:
        """Every shuffle has a generator of its own, so that the first ones are the same however many follow.

        Raises
        ------
        ConfigError : no shuffles
        """
        if shuffles < 1:
            raise ConfigError(f"there must be at least one shuffle, not {shuffles}")
        order, seeds = np.empty((shuffles, samples), np.intp), np.empty((shuffles, 2), np.int64)
        for number in range(shuffles):
            draw = np.random.default_rng([seed, number])
            order[number] = draw.permutation(samples)
            seeds[number] = draw.integers(2**31, size=2)
        return cls(order, seeds[:, 0], seeds[:, 1])

    def __len__(self) -> int:
        return len(self.order)
