"""The confidence of every early exit on recorded rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.served import served_confidence
from offramp.records.records import Records

__all__ = ["confidences"]


def confidences(records: Records, temperatures: Sequence[float]) -> NDArray[np.float32]:
    """(E - 1, n) calibrated confidence of every early exit, as the running segments compute it."""
    early = records.exits - 1
    result = np.empty((early, len(records)), np.float32)
    for index in range(early):
        result[index] = served_confidence(records.logits[index], temperatures[index])
    return result
