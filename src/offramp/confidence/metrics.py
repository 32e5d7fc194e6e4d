"""How honest a confidence is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["ReliabilityBin", "expected_calibration_error", "reliability"]

Floats = NDArray[np.floating]
Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """One bar of a reliability diagram: rows with ``lower < confidence <= upper``."""

    lower: float
    upper: float
    rows: int
    mean_confidence: float
    accuracy: float


def reliability(confidence: Floats, correct: Bools, bins: int = 15) -> list[ReliabilityBin]:
    """Equal-width bins with at least one row.

    Parameters
    ----------
    confidence : (n,) in [0, 1]
    correct : (n,) bool
    bins : number of bins before empty ones are dropped
    """
    edges = np.linspace(0.0, 1.0, bins + 1)
    which = np.clip(np.digitize(confidence, edges, right=True) - 1, 0, bins - 1)
    result = []
    for index in np.unique(which):
        here = which == index
        result.append(
            ReliabilityBin(
                float(edges[index]),
                float(edges[index + 1]),
                int(here.sum()),
                float(np.mean(confidence[here])),
                float(np.mean(correct[here])),
            )
        )
    return result


def expected_calibration_error(confidence: Floats, correct: Bools, bins: int = 15) -> float:
    """ECE: mean distance of accuracy and confidence over equal-width bins, weighted by rows.

    Source: Naeini et al. 2015; Guo et al. 2017 (15 bins).

    Examples
    --------
    >>> expected_calibration_error(np.array([0.9, 0.9]), np.array([True, False]))
    0.4
    """
    total = len(confidence)
    parts = reliability(confidence, correct, bins)
    return float(sum(b.rows / total * abs(b.accuracy - b.mean_confidence) for b in parts))
