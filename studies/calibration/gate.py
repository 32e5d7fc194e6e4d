"""The gate that holds its outage: the boldest threshold whose certified accuracy keeps it below a level."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.bounds.binomial import clopper_pearson_lower, clopper_pearson_upper
from offramp.confidence.service import expected_outage

__all__ = ["candidates", "certified_threshold", "required_accuracy"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Counts = NDArray[np.int64]

_SHARES = np.linspace(0.005, 1.0, 60)
_CANDIDATES = 99
#: of delta, what the share of decided rows takes; the accuracy has the rest
_FOR_SHARE = 0.1


@cache
def _required(target: float, level: float) -> Floats:
    """(60,) the least accuracy at each of `_SHARES` that keeps the expected outage at or below the level."""
    low, high = np.zeros(len(_SHARES)), np.ones(len(_SHARES))
    for _ in range(14):
        middle = (low + high) / 2
        holds = expected_outage(_SHARES, middle, target) <= level
        low, high = np.where(holds, low, middle), np.where(holds, middle, high)
    return high


def required_accuracy(share: Floats, target: float, level: float) -> Floats:
    """The least accuracy of decided rows that keeps the outage at the level when this share is decided."""
    return np.interp(share, _SHARES, _required(target, level))


def candidates(score: Floats) -> Floats:
    """Thresholds from safe to bold, from tune rows alone: they decide about 1, 2, ... 99 % of the rows, and all."""
    return np.append(np.quantile(score, 1.0 - np.arange(1, _CANDIDATES + 1) / (_CANDIDATES + 1)), -np.inf)


def _counts(score: Floats, right: Bools, thresholds: Floats) -> tuple[Counts, Counts]:
    """(C,) how many rows each threshold decides, and how many of them rightly; thresholds fall."""
    order = np.argsort(-score, kind="stable")
    decided = np.searchsorted(-score[order], -thresholds, side="right")
    hits = np.concatenate([[0], np.cumsum(right[order])])
    return decided, hits[decided]


def certified_threshold(
    tune: tuple[Floats, Bools], calibrate: tuple[Floats, Bools], target: float, level: float, delta: float
) -> float:
    """The boldest threshold of a fixed sequence that is certified; infinity where none is.

    Each test says with error delta that the expected outage is at or below the level: Clopper-Pearson bounds the
    accuracy of decided rows from below and their share from both sides, and the accuracy must be enough at every end.
    The sequence begins where the tune rows promise the surest test and goes on to bolder ones until a test fails, so
    delta covers the whole of it. ``tune`` and ``calibrate`` are scores (n,) and who was right (n,).
    """
    thresholds = candidates(tune[0])
    begin = int(np.argmax(_errors_above(*_counts(*tune, thresholds), len(tune[0]), target, level)))
    room = _room(*_counts(*calibrate, thresholds), len(calibrate[0]), target, level, delta)[begin:]
    passed = np.logical_and.accumulate(room >= 0)
    return float(thresholds[begin + passed.sum() - 1]) if passed[0] else np.inf


def _room(decided: Counts, hits: Counts, rows: int, target: float, level: float, delta: float) -> Floats:
    """(C,) by how much the bound on the accuracy exceeds what the outage requires."""
    accuracy = clopper_pearson_lower(hits, decided, (1 - _FOR_SHARE) * delta)
    tail = _FOR_SHARE * delta / 2
    shares = (clopper_pearson_lower(decided, rows, tail), decided / rows, clopper_pearson_upper(decided, rows, tail))
    return np.asarray(accuracy - np.max([required_accuracy(share, target, level) for share in shares], axis=0))


def _errors_above(decided: Counts, hits: Counts, rows: int, target: float, level: float) -> Floats:
    """(C,) standard errors by which the accuracy exceeds what the outage requires."""
    needed = required_accuracy(decided / rows, target, level)
    error = np.sqrt(np.maximum(needed * (1 - needed), 1e-6) / np.maximum(decided, 1))
    return np.asarray((hits / np.maximum(decided, 1) - needed) / error)
