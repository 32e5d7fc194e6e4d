"""After an alarm: what audited rows of the new data still allow the device to decide."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.after_alarm import recertified_threshold
from studies.shift.audits import DELTA

__all__ = ["AUDITED", "CANDIDATES", "Reopened", "reopen"]

#: rows audited after the alarm
AUDITED = 1000
CANDIDATES = tuple((np.arange(50, 100) / 100).tolist())


@dataclass(frozen=True)
class Reopened:
    """Over draws of the audited rows: median share decided again, and how often the limit is then broken."""

    decided: float
    broken: float


def reopen(
    confidence: NDArray[np.floating],
    wrong: NDArray[np.bool_],
    limit: float,
    repeats: int,
    rng: np.random.Generator,
) -> Reopened:
    """`recertified_threshold` on rows drawn with replacement from confidence (n,) and wrong (n,), judged on all n."""
    decided, broken = np.zeros(repeats), np.zeros(repeats, bool)
    for index in range(repeats):
        rows = rng.integers(0, len(wrong), AUDITED)
        threshold = recertified_threshold(confidence[rows], wrong[rows], limit, DELTA, CANDIDATES)
        if threshold is not None:
            stops = confidence >= threshold
            decided[index] = stops.mean()
            broken[index] = wrong[stops].mean() > limit
    return Reopened(float(np.median(decided)), float(broken.mean()))
