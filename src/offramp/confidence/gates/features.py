"""What a gain gate looks at: numbers that are free at an exit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
_LOG_TINY = math.log(_TINY)
_AGREEMENT_SCALE = 0.3
_MOST_CLASSES = 32


@dataclass(frozen=True)
class GainFeatures:
    """Features of n rows at an exit.

    With p1 >= p2 >= p3 the highest probabilities: one, log-odds of p1, p1, p1 squared; of more than two classes p2,
    ln(p1 / p2), collision entropy -ln(sum p^2) / ln K (a tenth of what Shannon's costs one row of 100 classes), p3; for
    each earlier exit whether it gave the same answer (+1/2, -1/2) and that times the log-odds; of up to 32 classes
    which one is highest and (of more than two) which one is second.

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
            entropy = -np.log((p * p).sum(-1)) / math.log(classes)
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


def features_of_row(row: Floats, earlier_labels: Sequence[int]) -> tuple[list[float], tuple[int, ...], float]:
    """The same features of one row, with as few calls into numpy as its size asks for.

    Parameters
    ----------
    row : (K,) probabilities; reordered in place where there are many
    earlier_labels : answers of the exits before

    Returns
    -------
    leading columns, which others are `CLASS_SCALE` (the rest are 0), and p1
    """
    classes, log = len(row), math.log
    few = classes <= _MOST_CLASSES
    if few:
        p = row.tolist()
        p1 = max(p)
        first = p.index(p1)
        p[first] = -1.0
        p2 = max(p)
        second = p.index(p2)
        p[second] = -1.0
        p3 = max(p)
    else:
        first = int(row.argmax()) if earlier_labels else 0
        row.partition(classes - 3)
        p3, p2, p1 = sorted(row[-3:].tolist())
    log_p1 = log(p1) if p1 > _TINY else _LOG_TINY
    log_odds = log_p1 - (log(1.0 - p1) if p1 < 1.0 - _TINY else _LOG_TINY)
    columns = [1.0, log_odds, p1, p1 * p1]
    if classes > 2:
        ratio = log_p1 - (log(p2) if p2 > _TINY else _LOG_TINY)
        columns += (p2, ratio, -log(row.dot(row)) / log(classes), p3)
    for answer in earlier_labels:
        slope = _AGREEMENT_SCALE * (log_odds if -5.0 < log_odds < 5.0 else math.copysign(5.0, log_odds))
        columns += (0.5, 0.5 * slope) if answer == first else (-0.5, -0.5 * slope)
    if not few:
        return columns, (), p1
    here = len(columns) + first
    return columns, (here,) if classes == 2 else (here, len(columns) + classes + second), p1
