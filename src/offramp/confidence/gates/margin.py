"""A threshold on the margin between the two highest probabilities."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.base import Gate
from offramp.confidence.gates.evidence import ExitEvidence

__all__ = ["MarginGate"]


@dataclass(frozen=True)
class MarginGate(Gate):
    """Leave when the highest probability exceeds the second highest by the threshold.

    Examples
    --------
    >>> MarginGate(0.5).score(ExitEvidence(0, np.array([0.7]), np.array([[0.7, 0.2, 0.1]])))
    array([0.5], dtype=float32)
    """

    kind: ClassVar[str] = "margin"

    def score(self, evidence: ExitEvidence) -> NDArray[np.float32]:
        """(n,) highest minus second highest probability."""
        top = np.partition(np.asarray(evidence.probabilities), -2, axis=-1)[:, -2:]
        return np.asarray(top[:, 1] - top[:, 0], np.float32)
