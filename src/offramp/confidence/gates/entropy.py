"""A threshold on the entropy."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.base import Gate
from offramp.confidence.gates.evidence import ExitEvidence

__all__ = ["EntropyGate"]


@dataclass(frozen=True)
class EntropyGate(Gate):
    """Leave when 1 - entropy / ln K reaches the threshold: 0 for a uniform guess, 1 for certainty.

    Source: Teerapittayanon et al. 2016 (BranchyNet) gate on the entropy itself, with the inequality turned round.

    Examples
    --------
    >>> EntropyGate(0.5).score(ExitEvidence(0, np.array([0.5, 1.0]), np.array([[0.5, 0.5], [1.0, 0.0]])))
    array([0., 1.], dtype=float32)
    """

    kind: ClassVar[str] = "entropy"

    def score(self, evidence: ExitEvidence) -> NDArray[np.float32]:
        """(n,) 1 minus the normalised entropy."""
        p = np.asarray(evidence.probabilities, np.float64)
        entropy = -(p * np.log(np.maximum(p, 1e-300))).sum(-1)
        return np.asarray(np.clip(1.0 - entropy / np.log(p.shape[-1]), 0.0, 1.0), np.float32)
