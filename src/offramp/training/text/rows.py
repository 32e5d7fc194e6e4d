"""Tokenised rows for training: short batches first trimmed, rows of like length together."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from offramp.training.recipe import Rows

__all__ = ["TokenRows"]

#: so many batches are sorted by length at a time
_POOL = 50


@dataclass(frozen=True)
class TokenRows(Rows):
    """Token ids (n, L), labels (n,), and the mask (n, L) first among the sides.

    A batch is as long as its longest row. Rows of like length come together, which spares most of
    the padding; which rows meet still changes with the order.

    Examples
    --------
    >>> mask = torch.tensor([[1, 1, 0, 0], [1, 0, 0, 0]])
    >>> rows = TokenRows(mask * 7, torch.tensor([0, 1]), (mask,))
    >>> rows.batch(torch.tensor([0]))[0]
    tensor([[7, 7]])
    """

    def batch(self, index: Tensor) -> tuple[Tensor, ...]:
        """The chosen rows, cut to the longest of them."""
        longest = max(1, int(self.sides[0][index].sum(1).max()))
        return tuple(each[:, :longest] for each in super().batch(index))

    def batches(self, order: Tensor, size: int) -> list[Tensor]:
        """Indices ``order`` in batches of ``size`` rows of like length, in an order free of length."""
        lengths = self.sides[0].sum(1)
        found = []
        for pool in torch.split(order, _POOL * size):
            by_length = torch.argsort(lengths[pool], stable=True)
            parts = torch.split(by_length, size)
            found += [pool[part] for part in sorted(parts, key=lambda part: int(part[0]))]
        return found
