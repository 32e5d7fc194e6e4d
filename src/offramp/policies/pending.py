"""Samples whose feedback is still out: a bounded number of them."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

__all__ = ["MOST_PENDING", "Pending"]

#: samples that wait for feedback; the oldest are forgotten
MOST_PENDING = 4096


class Pending:
    """What a policy must remember of a sample until its feedback comes, each a tuple of plain values.

    Examples
    --------
    >>> pending = Pending(most=2)
    >>> for sample in range(3):
    ...     pending.put(sample, (sample / 2,))
    >>> pending.take(0), pending.take(2), pending.take(2), len(pending)
    (None, (1.0,), None, 1)
    """

    __slots__ = ("_items", "most")

    def __init__(self, most: int = MOST_PENDING) -> None:
        self.most = most
        self._items: OrderedDict[int, tuple[Any, ...]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._items)

    def put(self, sample: int, item: tuple[Any, ...]) -> None:
        """Remember this of the sample, in the place of what was remembered of it."""
        items = self._items
        items[sample] = item
        if len(items) > self.most:
            items.popitem(last=False)

    def get(self, sample: int) -> tuple[Any, ...] | None:
        """What is remembered of the sample."""
        return self._items.get(sample)

    def take(self, sample: int) -> tuple[Any, ...] | None:
        """What is remembered of the sample, once; ``None`` where it is unknown, forgotten or was taken."""
        return self._items.pop(sample, None)

    def state(self) -> list[list[Any]]:
        """Plain types, for JSON, the oldest sample first."""
        return [[sample, *item] for sample, item in self._items.items()]

    @classmethod
    def from_state(cls, state: list[list[Any]], most: int = MOST_PENDING) -> Pending:
        """The samples that `state` wrote.

        Raises
        ------
        ValueError, TypeError : not such a state
        """
        pending = cls(most)
        for sample, *item in state:
            pending.put(int(sample), tuple(item))
        return pending
