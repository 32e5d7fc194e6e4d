"""Evidence made from a seed, and one gate of every kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates import (
    EntropyGate,
    ExitEvidence,
    GainGate,
    Gate,
    LogisticGate,
    MarginGate,
    ThresholdGate,
)
from offramp.confidence.scores import softmax

__all__ = ["MAKERS", "Case", "make_case", "rows_of"]


@dataclass(frozen=True)
class Case:
    """Evidence of n rows, and who was right."""

    evidence: ExitEvidence
    right_here: NDArray[np.bool_]
    right_later: NDArray[np.bool_]


def make_case(seed: int = 0, rows: int = 600, classes: int = 4, earlier: int = 1) -> Case:
    """A weak exit, earlier ones that are weaker still, and a later one that is right nine times in ten."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    probabilities = softmax(rng.normal(0, 1, (rows, classes)) + 1.5 * np.eye(classes)[labels])
    answers = np.where(rng.random((earlier, rows)) < 0.6, labels, rng.integers(0, classes, (earlier, rows)))
    evidence = ExitEvidence(earlier, probabilities.max(-1), probabilities, answers if earlier else None)
    return Case(evidence, probabilities.argmax(-1) == labels, rng.random(rows) < 0.9)


def rows_of(evidence: ExitEvidence, rows: NDArray[np.intp] | slice) -> ExitEvidence:
    """Only these rows."""
    answers = evidence.earlier_labels
    return ExitEvidence(
        evidence.exit,
        evidence.confidence[rows],
        evidence.probabilities[rows],
        None if answers is None else answers[:, rows],
    )


def _gain(threshold: float | None) -> Gate:
    case = make_case()
    return GainGate.fit(case.evidence, case.right_here, case.right_later).with_threshold(threshold)


def _logistic(threshold: float | None) -> Gate:
    case = make_case()
    return LogisticGate.fit(case.evidence, case.right_here, threshold)


MAKERS: dict[str, Callable[[float | None], Gate]] = {
    "entropy": EntropyGate,
    "gain": _gain,
    "logistic": _logistic,
    "margin": MarginGate,
    "threshold": ThresholdGate,
}
