"""How unreliable an answer is, from the exit and what it thinks of itself: a linear head."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import NotEnoughSamples

__all__ = ["ReliabilityHead"]

_STEPS = 50
_RIDGE = 1e-6


@dataclass(frozen=True)
class ReliabilityHead:
    """P(exit i is wrong) = sigmoid(w c + v i + b), for confidence c.

    Parameters
    ----------
    slope, depth, offset : w, v and b

    Examples
    --------
    >>> confidence = np.array([[0.6, 0.9, 0.6, 0.9, 0.9, 0.6]])
    >>> head = ReliabilityHead.fit(confidence, np.array([[False, True, False, True, True, True]]))
    >>> head(0.6, 0) > 0.5 > head(0.9, 0)
    True
    """

    slope: float
    depth: float
    offset: float

    @classmethod
    def fit(cls, confidence: NDArray[np.floating], right: NDArray[np.bool_]) -> ReliabilityHead:
        """By Newton's method, with a little ridge so that a separable set has an end.

        Parameters
        ----------
        confidence, right : (E, n)

        Raises
        ------
        NotEnoughSamples : no rows
        """
        if not np.size(confidence):
            raise NotEnoughSamples("a reliability head needs labelled rows; there are none")
        depth = np.broadcast_to(np.arange(len(confidence), dtype=float)[:, None], confidence.shape)
        rows = np.stack([np.ravel(confidence), np.ravel(depth), np.ones(np.size(confidence))], axis=1).astype(float)
        wrong = (~np.ravel(right)).astype(float)
        weights, ridge = np.zeros(3), _RIDGE * len(rows) * np.eye(3)
        for _ in range(_STEPS):
            p = 1.0 / (1.0 + np.exp(-(rows @ weights)))
            gradient = rows.T @ (p - wrong) + ridge @ weights
            step = np.linalg.solve((rows * (p * (1.0 - p))[:, None]).T @ rows + ridge, gradient)
            weights = weights - step
            if np.abs(step).max() < 1e-10:
                break
        return cls(*weights.tolist())

    def __call__(self, confidence: float, exit_index: int) -> float:
        """P(wrong)."""
        z = self.slope * confidence + self.depth * exit_index + self.offset
        return 1.0 / (1.0 + math.exp(-z)) if z > -700.0 else 0.0
