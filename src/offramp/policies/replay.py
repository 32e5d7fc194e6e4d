"""A policy over recorded rows, one after the other."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.base import Gate
from offramp.errors import RecordMismatch
from offramp.policies.base import Action, Feedback, Policy, View
from offramp.records.confidences import gate_scores
from offramp.records.records import Records

__all__ = ["PolicyReplay", "replay"]


@dataclass(frozen=True)
class PolicyReplay:
    """In the order asked: the row (n,), the exit it left by (n,), whether the answer was right (n,)."""

    row: NDArray[np.intp]
    exit: NDArray[np.intp]
    correct: NDArray[np.bool_]

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.correct.mean())


def replay(
    policy: Policy,
    records: Records,
    order: NDArray[np.intp] | None = None,
    *,
    temperatures: Sequence[float] | None = None,
    known: NDArray[np.bool_] | None = None,
    delay: int = 0,
    gates: Sequence[Gate] | None = None,
) -> PolicyReplay:
    """Ask ``policy`` about recorded rows; it learns as it would have.

    Parameters
    ----------
    policy : changed by what it learns
    records : the evidence
    order : (n,) indices of rows, in the order they arrive; default as recorded
    temperatures : (E,) of the exits, default 1.0
    known : (rows,) whether anybody ever tells if the answer was right; default always
    gates : of a plan; policies see their scores in the place of the confidence
    delay : samples that pass before feedback arrives; feedback still out at the end never comes

    Raises
    ------
    RecordMismatch : the number of temperatures is not that of the exits
    """
    degrees = (1.0,) * records.exits if temperatures is None else tuple(temperatures)
    if len(degrees) != records.exits:
        raise RecordMismatch(f"{len(degrees)} temperatures for the {records.exits} exits of the records")
    rows = np.arange(len(records)) if order is None else np.asarray(order, np.intp)
    confidence = gate_scores(records, degrees, gates)
    correct = records.correct
    taken = np.empty(len(rows), np.intp)
    out: deque[Feedback] = deque()
    for sample, row in enumerate(rows):
        taken[sample] = left = _leave(policy, sample, confidence[:, row].tolist())
        told = bool(correct[left, row]) if known is None or known[row] else None
        out.append(Feedback(sample, left, told))
        if len(out) > delay:
            policy.learn(out.popleft())
    return PolicyReplay(rows, taken, correct[taken, rows])


def _leave(policy: Policy, sample: int, confidence: list[float]) -> int:
    for exit_index, value in enumerate(confidence):
        if policy.decide(View(sample, exit_index, value)) is Action.STOP:
            return exit_index
    return len(confidence)
