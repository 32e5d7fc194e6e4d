"""What a gain gate looks at: numbers that are free at an exit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import mul

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.evidence import ExitEvidence
from offramp.errors import ConfigError

__all__ = ["BASE", "CLASS_SCALE", "GainFeatures", "features_of_row", "scalars", "width"]

Floats = NDArray[np.float64]
#: columns made of the confidence alone: one, log-odds, p1, p1 squared
BASE = 4
#: value of the columns that name a class
CLASS_SCALE = 0.5
_TINY = 1e-6
_AGREEMENT_SCALE = 0.3
_MOST_CLASSES = 32


@dataclass(frozen=True)
class GainFeatures:
    """Features of n rows at an exit.

    With p1 >= p2 >= p3 the highest probabilities: one, log-odds of p1, p1, p1 squared; of more than two classes p2,
    ln(p1 / p2), entropy / ln K, p3; for each earlier exit whether it gave the same answer (+1/2, -1/2) and that times
    the log-odds; of up to 32 classes which one is highest and (of more than two) which one is second.

    Parameters
    ----------
    matrix : (n, f)
    confidence : (n,) p1
    classes : K
    earlier : exits before this one whose answers are among the features

    Examples
    --------
    >>> evidence = ExitEvidence(0, np.array([0.8]), np.array([[0.2, 0.8]]))
    >>> GainFeatures.of(evidence).matrix.round(2)
    array([[1.  , 1.39, 0.8 , 0.64, 0.  , 0.5 ]])
    """

    matrix: Floats
    confidence: Floats
    classes: int
    earlier: int

    @classmethod
    def of(cls, evidence: ExitEvidence, earlier: int | None = None) -> GainFeatures:
        """Compute them.

        Parameters
        ----------
        evidence : of the rows
        earlier : exits before this one to compare answers with; ``None`` takes those the evidence has

        Raises
        ------
        ConfigError : the evidence has the answers of fewer or more earlier exits
        """
        labels = evidence.earlier_labels
        has = 0 if labels is None else len(labels)
        earlier = has if earlier is None else earlier
        if earlier and earlier != has:
            raise ConfigError(
                f"the gate of exit {evidence.exit} compares the answers of {earlier} earlier exits, but the evidence "
                f"has {has}; pass earlier_labels ({earlier}, n)"
            )
        p = np.asarray(evidence.probabilities, np.float64)
        rows, classes = p.shape
        at = np.arange(rows)
        first = p.argmax(-1)
        p1 = p[at, first]
        log_odds = np.log(np.maximum(p1, _TINY)) - np.log(np.maximum(1.0 - p1, _TINY))
        columns = [np.ones(rows), log_odds, p1, p1 * p1]
        second = first
        if classes > 2:
            rest = p.copy()
            rest[at, first] = -1.0
            second = rest.argmax(-1)
            p2 = rest[at, second]
            rest[at, second] = -1.0
            entropy = -(p * np.log(np.maximum(p, _TINY))).sum(-1) / math.log(classes)
            ratio = np.log(np.maximum(p1, _TINY)) - np.log(np.maximum(p2, _TINY))
            columns += [p2, ratio, entropy, rest.max(-1)]
        if earlier and labels is not None:
            slope = np.clip(log_odds, -5.0, 5.0) * _AGREEMENT_SCALE
            for answers in labels:
                agrees = (np.asarray(answers) == first) - 0.5
                columns += [agrees, agrees * slope]
        matrix = np.zeros((rows, width(classes, earlier)))
        matrix[:, : len(columns)] = np.stack(columns, 1)
        if classes <= _MOST_CLASSES:
            matrix[at, len(columns) + first] = CLASS_SCALE
            if classes > 2:
                matrix[at, len(columns) + classes + second] = CLASS_SCALE
        return cls(matrix, p1, classes, earlier)

    def take(self, rows: NDArray[np.intp]) -> GainFeatures:
        """Only these rows."""
        return replace(self, matrix=self.matrix[rows], confidence=self.confidence[rows])

    def scaling(self) -> tuple[Floats, Floats]:
        """(f,) mean and spread of the columns that are scaled before fitting; 0 and 1 for the others."""
        used = scalars(self.classes, 0)
        mean, spread = np.zeros(self.matrix.shape[1]), np.ones(self.matrix.shape[1])
        mean[1:used] = self.matrix[:, 1:used].mean(0)
        deviation = self.matrix[:, 1:used].std(0)
        spread[1:used] = np.where(deviation > 1e-9, deviation, 1.0)
        return mean, spread


def scalars(classes: int, earlier: int) -> int:
    """Columns before those that name a class."""
    return (BASE if classes == 2 else 8) + 2 * earlier


def width(classes: int, earlier: int) -> int:
    """f, the number of columns.

    Examples
    --------
    >>> width(10, earlier=1), width(100, earlier=0), width(2, earlier=0)
    (30, 8, 6)
    """
    named = 0 if classes > _MOST_CLASSES else classes if classes == 2 else 2 * classes
    return scalars(classes, earlier) + named


def features_of_row(p: list[float], earlier_labels: Sequence[int]) -> tuple[list[float], tuple[int, ...], float]:
    """The same features of one row, without numpy's price per call.

    Returns
    -------
    leading columns, which others are `CLASS_SCALE` (the rest are 0), and p1
    """
    classes = len(p)
    log = math.log
    p1 = max(p)
    first = p.index(p1)
    log_p1 = log(p1) if p1 > _TINY else log(_TINY)
    log_odds = log_p1 - log(max(1.0 - p1, _TINY))
    if classes == 2:
        columns, second = [1.0, log_odds, p1, p1 * p1], first
    else:
        floored = p if min(p) > _TINY else [q if q > _TINY else _TINY for q in p]
        entropy = -sum(map(mul, p, map(log, floored))) / log(classes)
        p[first] = -1.0
        p2 = max(p)
        second = p.index(p2)
        p[second] = -1.0
        columns = [1.0, log_odds, p1, p1 * p1, p2, log_p1 - log(p2 if p2 > _TINY else _TINY), entropy, max(p)]
        p[first], p[second] = p1, p2
    for answer in earlier_labels:
        agrees = 0.5 if answer == first else -0.5
        columns += [agrees, agrees * min(max(log_odds, -5.0), 5.0) * _AGREEMENT_SCALE]
    if classes > _MOST_CLASSES:
        return columns, (), p1
    here = len(columns) + first
    if classes == 2:
        return columns, (here,), p1
    return columns, (here, len(columns) + classes + second), p1
