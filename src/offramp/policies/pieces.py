"""Weights over thresholds that are constant between the confidences seen."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import Any

import numpy as np

__all__ = ["Pieces"]


class Pieces:
    """A distribution over thresholds in [0, 1], constant on the pieces between the confidences seen.

    Parameters
    ----------
    by_length : whether a piece weighs as much as it is long times its weight (a continuum of thresholds, as HIL-F has
        it), or its weight alone (one expert per piece, as Hedge-HI has it)

    Examples
    --------
    >>> pieces = Pieces()
    >>> pieces.split(0.25)
    >>> pieces.below(0.25)
    0.25
    >>> pieces.add(0.25, -1.0, 0.0)
    >>> round(pieces.below(0.25), 3)  # 0.25 / e against 0.75
    0.109
    """

    __slots__ = ("_below", "by_length", "edges", "log_weights")

    def __init__(self, by_length: bool = True) -> None:
        self.by_length = by_length
        #: upper ends, rising; a piece is (edge before, edge]
        self.edges = [1.0]
        self.log_weights = np.zeros(1)
        self._below = [0.0, 1.0]

    def __len__(self) -> int:
        return len(self.edges)

    def split(self, at: float) -> None:
        """Split the piece that holds ``at`` there; both parts keep its weight."""
        index = bisect_left(self.edges, at)
        if at <= 0.0 or self.edges[index] == at:
            return
        self.edges.insert(index, at)
        self.log_weights = np.insert(self.log_weights, index, self.log_weights[index])
        self._sum()

    def below(self, at: float) -> float:
        """Weight of the pieces that end at or below ``at``."""
        index = bisect_left(self.edges, at)
        return self._below[index + 1 if index < len(self.edges) and self.edges[index] == at else index]

    def add(self, at: float, low: float, high: float) -> None:
        """Add ``low`` to the log weights of the pieces that end at or below ``at``, ``high`` to the others."""
        index = bisect_left(self.edges, at)
        index += index < len(self.edges) and self.edges[index] == at
        self.log_weights[:index] += low
        self.log_weights[index:] += high
        self.log_weights -= self.log_weights.max()
        self._sum()

    def _sum(self) -> None:
        masses = np.exp(self.log_weights)
        if self.by_length:
            masses *= np.diff(self.edges, prepend=0.0)
        self._below = list(accumulate((masses / masses.sum()).tolist(), initial=0.0))
        self._below[-1] = 1.0

    def state(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        return {"edges": self.edges, "log_weights": self.log_weights.tolist()}

    def take(self, state: dict[str, Any]) -> None:
        """Take back what `state` wrote.

        Raises
        ------
        ValueError, KeyError, TypeError : not such a state
        """
        edges, weights = [float(edge) for edge in state["edges"]], np.array(state["log_weights"], float)
        if weights.shape != (len(edges),) or not np.isfinite(weights).all() or edges[-1:] != [1.0]:
            raise ValueError("its weights do not fit its pieces")
        if not (np.diff(edges, prepend=0.0) > 0).all():
            raise ValueError("its pieces do not rise")
        self.edges, self.log_weights = edges, weights
        self._sum()
