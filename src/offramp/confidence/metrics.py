"""How honest a confidence is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import NotEnoughSamples

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

    def band(self, level: float = 0.95) -> tuple[float, float]:
        """Clopper-Pearson interval of the accuracy: it misses the true one in at most 1 - level of all samples.

        Examples
        --------
        >>> low, high = ReliabilityBin(0.9, 1.0, 20, 0.95, 0.9).band()
        >>> round(low, 3), round(high, 3)
        (0.683, 0.988)
        """
        from scipy.special import betaincinv

        right, tail = round(self.accuracy * self.rows), (1.0 - level) / 2
        wrong = self.rows - right
        low = float(betaincinv(right, wrong + 1, tail)) if right else 0.0
        high = float(betaincinv(right + 1, wrong, 1.0 - tail)) if wrong else 1.0
        return low, high


def reliability(
    confidence: Floats, correct: Bools, bins: int = 15, *, equal_mass: bool = False
) -> list[ReliabilityBin]:
    """Bins with at least one row, of equal width or of about equally many rows.

    Parameters
    ----------
    confidence : (n,) in [0, 1]
    correct : (n,) bool
    bins : number of bins before empty ones are dropped
    equal_mass : cut at quantiles of the confidence; rows of the same confidence stay together

    Raises
    ------
    NotEnoughSamples : there are no rows
    """
    values, right = np.asarray(confidence, np.float64), np.asarray(correct, np.float64)
    if not len(values):
        raise NotEnoughSamples("a reliability diagram needs at least one row")
    edges = np.linspace(0.0, 1.0, bins + 1)
    if equal_mass:
        last = -(-np.arange(1, bins) * len(values) // bins) - 1  # rank of the last row of every bin but the last
        edges = np.unique(np.concatenate([[0.0], np.sort(values)[np.maximum(last, 0)], [1.0]]))
    which = np.clip(np.digitize(values, edges, right=True) - 1, 0, len(edges) - 2)
    rows = np.bincount(which, minlength=len(edges) - 1)
    total = np.bincount(which, weights=values, minlength=len(rows))
    hits = np.bincount(which, weights=right, minlength=len(rows))
    return [
        ReliabilityBin(
            float(edges[index]),
            float(edges[index + 1]),
            int(rows[index]),
            float(total[index] / rows[index]),
            float(hits[index] / rows[index]),
        )
        for index in np.flatnonzero(rows)
    ]


def expected_calibration_error(
    confidence: Floats, correct: Bools, bins: int = 15, *, equal_mass: bool = False
) -> float:
    """ECE: mean distance of accuracy and confidence over bins, weighted by rows.

    Source: Naeini et al. 2015; Guo et al. 2017 (15 bins of equal width); Nixon et al. 2019 (equal mass).

    Examples
    --------
    >>> expected_calibration_error(np.array([0.9, 0.9]), np.array([True, False]))
    0.4
    """
    total = len(confidence)
    parts = reliability(confidence, correct, bins, equal_mass=equal_mass)
    return float(sum(b.rows / total * abs(b.accuracy - b.mean_confidence) for b in parts))
