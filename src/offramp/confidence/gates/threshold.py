"""The gate most systems have: a threshold on the calibrated confidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.base import Gate
from offramp.confidence.gates.evidence import ExitEvidence

__all__ = ["ThresholdGate"]


@dataclass(frozen=True)
class ThresholdGate(Gate):
    """Leave when the confidence (the highest probability) reaches the threshold; ``None`` never leaves.

    Examples
    --------
    >>> gate = ThresholdGate(0.9)
    >>> gate.stop(ExitEvidence(0, np.array([0.89, 0.9]), np.zeros((2, 2))))
    array([False,  True])
    """

    kind: ClassVar[str] = "threshold"

    def score(self, evidence: ExitEvidence) -> NDArray[np.float32]:
        """(n,) the confidence as it is."""
        return np.asarray(evidence.confidence, np.float32)
