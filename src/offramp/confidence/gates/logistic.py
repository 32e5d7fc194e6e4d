"""The logistic decider on the two highest probabilities."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.base import Gate
from offramp.confidence.gates.evidence import ExitEvidence
from offramp.confidence.gates.ridge import fit_ridge, require_finite, sigmoid
from offramp.errors import ConfigError

__all__ = ["LogisticGate"]


@dataclass(frozen=True)
class LogisticGate(Gate):
    """Leave when sigmoid(w0 + w1 p1 + w2 p2) reaches the threshold.

    Parameters
    ----------
    threshold : on the estimated probability of the label it was fitted on
    weights : (w0, w1, w2)

    Source: Behera, Morabito, Widmer, Champati 2024, "Improved Decision Module Selection for Hierarchical
    Inference": logistic regression of "this exit is right" on (p1, p2). `eefp_label` is another label to fit on.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p1 = rng.uniform(0.5, 1, 1000)
    >>> evidence = ExitEvidence(0, p1, np.stack([p1, 1 - p1], 1))
    >>> gate = LogisticGate.fit(evidence, rng.random(1000) < p1)
    >>> gate.score(ExitEvidence(0, np.array([0.8]), np.array([[0.8, 0.2]]))).round(1)
    array([0.8], dtype=float32)
    """

    weights: tuple[float, float, float]
    kind: ClassVar[str] = "logistic"

    def __post_init__(self) -> None:
        super().__post_init__()
        w0, w1, w2 = (float(weight) for weight in self.weights)
        if not all(map(math.isfinite, (w0, w1, w2))):
            raise ConfigError("logistic gate: weights hold NaN or infinity; fit the gate again")
        object.__setattr__(self, "weights", (w0, w1, w2))

    @classmethod
    def fit(cls, evidence: ExitEvidence, label: NDArray[np.bool_], threshold: float | None = None) -> LogisticGate:
        """Learn from labelled rows.

        Parameters
        ----------
        evidence : of n rows
        label : (n,) True where leaving is right: this exit is right, or `eefp_label`
        threshold : of the gate; ``None`` leaves it off

        Raises
        ------
        NotEnoughSamples : fewer than 20 rows
        SampleError : NaN probabilities
        """
        top = _top2(evidence)
        require_finite(top)
        mean, deviation = top.mean(0), top.std(0)
        spread = np.where(deviation > 1e-9, deviation, 1.0)
        scaled = np.concatenate([np.ones((len(top), 1)), (top - mean) / spread], 1)
        fitted = fit_ridge(scaled, label, penalties=(10.0, 3.0, 1.0, 0.3)).weights
        w1, w2 = (fitted[1:] / spread).tolist()
        return cls(threshold, (float(fitted[0] - w1 * mean[0] - w2 * mean[1]), w1, w2))

    def score(self, evidence: ExitEvidence) -> NDArray[np.float32]:
        """(n,) estimated probability of the label."""
        w0, w1, w2 = self.weights
        if len(evidence.probabilities) == 1:
            p = evidence.probabilities[0].tolist()
            p1 = max(p)
            p.remove(p1)
            return np.array([0.5 + 0.5 * math.tanh(0.5 * (w0 + w1 * p1 + w2 * max(p)))], np.float32)
        top = _top2(evidence)
        return np.asarray(sigmoid(w0 + w1 * top[:, 0] + w2 * top[:, 1]), np.float32)


def _top2(evidence: ExitEvidence) -> NDArray[np.float64]:
    """(n, 2) highest and second highest probability."""
    top = np.partition(np.asarray(evidence.probabilities, np.float64), -2, axis=-1)
    return np.asarray(top[:, [-1, -2]])
