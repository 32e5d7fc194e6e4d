"""What replays of many shuffles ask of a stream and of policies, block by block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.policies.stream import Stream

__all__ = ["Exits", "Floats", "Priced", "Rows", "Seeds", "blocks", "levels", "of_all", "prices", "same"]

Exits = NDArray[np.int8]
Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
Seeds = NDArray[np.int64]


class Priced(Protocol):
    """A policy with a price."""

    price: float


def blocks(order: Rows, most: int) -> Iterator[tuple[int, Rows]]:
    """Begin and (b, s) rows of blocks of samples."""
    for begin in range(0, order.shape[1], most):
        yield begin, np.ascontiguousarray(order[:, begin : begin + most].T)


def prices(policies: Sequence[Priced], stream: Stream, rows: Rows) -> Floats:
    """(b, s) of going on."""
    if stream.price is not None:
        return np.asarray(stream.price[rows], np.float64)
    return np.broadcast_to(np.array([policy.price for policy in policies]), rows.shape)


def levels(stream: Stream, rows: Rows, size: int) -> Rows:
    """Which of so many steps of confidence each row is on."""
    return np.asarray((stream.confidence[0].astype(np.float64) * size).astype(np.intp)[rows])


def of_all(policies: Sequence[Any], name: str) -> Floats:
    """(s,) a number of every policy."""
    return np.array([getattr(policy, name) for policy in policies], np.float64)


def same(policies: Sequence[Any], setting: str, what: str) -> int:
    """A setting that must be the same in all of them.

    Raises
    ------
    ConfigError : it is not, or it is not set
    """
    found = {policy._settings[setting] for policy in policies}
    if len(found) != 1 or None in found:
        raise ConfigError(f"learners over many shuffles need {what} in all of them")
    return int(found.pop())
