"""Answers to n rows, column by column."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.walk import NO_EXIT, Walk
from offramp.runtime.stamps import Stamps

__all__ = ["Rows"]


@dataclass(slots=True)
class Rows:
    """What is known of n rows.

    ``label`` (n,), ``probabilities`` (n, K), ``confidence`` (n,) and ``exit`` (n,) come from the deepest
    exit computed so far (``NO_EXIT`` where none was); ``tier`` names where that was, ``degraded`` holds
    a reason or ``""``. ``compute_s`` and ``queue_s`` are seconds per tier for all rows together,
    ``stamps`` say when a tier did what, where that was asked for.

    Examples
    --------
    >>> rows = Rows.unanswered(3, classes=2)
    >>> rows.put(np.array([2]), Rows.unanswered(1, classes=2).mark("link_down"))
    >>> rows.degraded
    ['', '', 'link_down']
    """

    label: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    confidence: NDArray[np.float32]
    exit: NDArray[np.int64]
    tier: list[str]
    degraded: list[str]
    compute_s: dict[str, float] = field(default_factory=dict)
    queue_s: dict[str, float] = field(default_factory=dict)
    stamps: dict[str, Stamps] = field(default_factory=dict)

    @classmethod
    def unanswered(cls, rows: int, classes: int) -> Rows:
        """n rows no exit has seen yet."""
        label, exits = np.empty(rows, np.int64), np.empty(rows, np.int64)
        label.fill(-1)
        exits.fill(NO_EXIT)
        probabilities, confidence = np.zeros((rows, classes), np.float32), np.zeros(rows, np.float32)
        return cls(label, probabilities, confidence, exits, [""] * rows, [""] * rows)

    @classmethod
    def from_walk(cls, state: Walk, tier: str) -> Rows:
        """What a walk on ``tier`` found."""
        count = len(state.label)
        return cls(
            state.label, state.probabilities, state.confidence, state.exit, [tier] * count, [""] * count
        )  # the arrays are the walk's own

    def __len__(self) -> int:
        return len(self.label)

    @property
    def answered(self) -> bool:
        """Whether every row has passed an exit."""
        return bool((self.exit != NO_EXIT).all())

    def put(self, at: NDArray[np.intp], other: Rows) -> None:
        """Write the rows of ``other`` to the positions ``at``, and take over its seconds."""
        self.label[at] = other.label
        self.probabilities[at] = other.probabilities
        self.confidence[at] = other.confidence
        self.exit[at] = other.exit
        for position, index in enumerate(at.tolist()):
            self.tier[index] = other.tier[position]
            self.degraded[index] = other.degraded[position]
        self.add_seconds(other)

    def add_seconds(self, other: Rows) -> None:
        """Take over the compute and queue seconds of ``other``, and its stamps."""
        self.stamps |= other.stamps
        for mine, theirs in ((self.compute_s, other.compute_s), (self.queue_s, other.queue_s)):
            for tier, seconds in theirs.items():
                mine[tier] = mine.get(tier, 0.0) + seconds

    def mark(self, reason: str, at: NDArray[np.intp] | None = None) -> Rows:
        """Set why rows (all, or those at ``at``) are degraded; returns itself."""
        for index in range(len(self)) if at is None else at.tolist():
            self.degraded[index] = reason
        return self
