"""What beginning at a tier is worth, from features that are known before anything is computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from operator import mul

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.ridge import fit_ridge
from offramp.errors import ConfigError, SampleError

__all__ = ["TierModel", "held_out_values", "leaving", "sigmoid_of"]

Floats = NDArray[np.float64]


def leaving(confidence: NDArray[np.floating], thresholds: Sequence[float], begin: int) -> NDArray[np.intp]:
    """(n,) the first exit from ``begin`` on whose confidence reaches its threshold.

    Parameters
    ----------
    confidence : (E, n)
    thresholds : (E - 1,) infinity is never

    Examples
    --------
    >>> leaving(np.array([[0.9, 0.5], [0.6, 0.8], [0.9, 0.9]]), [0.7, 0.7], begin=1).tolist()
    [2, 1]
    """
    early = np.asarray(confidence[:-1])
    # as exits report: compared in float32
    reached = np.vstack([early >= np.asarray(thresholds, np.float32)[:, None], np.ones((1, early.shape[1]), bool)])
    reached[:begin] = False
    return np.asarray(reached.argmax(0), np.intp)


@dataclass(frozen=True)
class TierModel:
    """Two logistic models for one tier: that what is begun there ends right, and that it ends within the tier.

    Parameters
    ----------
    right, stays : (d + 1,) weights, the constant first
    cost_stays, cost_goes : mean cost of the paths that end within the tier, and of those that climb

    Examples
    --------
    >>> model = TierModel((0.0, 1.0), (0.0, 2.0), 0.1, 0.3)
    >>> round(model.value([0.0]), 2)
    0.3
    """

    right: tuple[float, ...]
    stays: tuple[float, ...]
    cost_stays: float
    cost_goes: float

    def __post_init__(self) -> None:
        if len(self.right) != len(self.stays) or not self.right:
            raise ConfigError("a tier's two models must have as many weights")

    @classmethod
    def fit(
        cls,
        features: NDArray[np.floating],
        right: NDArray[np.bool_],
        stays: NDArray[np.bool_],
        cost: NDArray[np.floating],
    ) -> tuple[TierModel, Floats]:
        """The model, and (n,) the value of each row under a fit without it.

        Parameters
        ----------
        features : (n, d)
        right, stays, cost : (n,) of the paths begun at this tier

        Raises
        ------
        NotEnoughSamples : fewer than 20 rows
        SampleError : NaN or infinite features
        """
        rows = np.asarray(features, np.float64)
        if not np.isfinite(rows).all():
            raise SampleError("routing features hold NaN or infinity")
        mean, scale = rows.mean(0), rows.std(0)
        scale = np.where(scale > 0, scale, 1.0)
        scaled = np.concatenate([np.ones((len(rows), 1)), (rows - mean) / scale], axis=1)
        means = [float(cost[each].mean()) if each.any() else float(cost.mean()) for each in (stays, ~stays)]
        weights, odds = [], []
        for event in (right, stays):
            found = fit_ridge(scaled, event)
            plain = np.concatenate([[found.weights[0]], found.weights[1:] / scale])
            plain[0] -= plain[1:] @ mean
            weights.append(tuple(plain.tolist()))
            odds.append(found.held_out)
        ends_right, ends_here = (1.0 / (1.0 + np.exp(-np.clip(z, -500, 500))) for z in odds)
        value = ends_right - ends_here * means[0] - (1.0 - ends_here) * means[1]
        return cls(weights[0], weights[1], *means), np.asarray(value)

    def value(self, features: Sequence[float]) -> float:
        """P(right) less the expected cost, in units of one mistake."""
        stays = _probability(self.stays, features)
        return _probability(self.right, features) - stays * self.cost_stays - (1.0 - stays) * self.cost_goes


def held_out_values(values: Floats, realised: Floats, margin: float) -> float:
    """Mean of what was realised, (B, n), where the first tier is left only for a value (B, n) above its by a margin."""
    best = values.argmax(0)
    columns = np.arange(values.shape[1])
    tier = np.where(values[best, columns] > values[0] + margin, best, 0)
    return float(realised[tier, columns].mean())


def sigmoid_of(z: float) -> float:
    """1 / (1 + exp(-z)) of one number, however large.

    Examples
    --------
    >>> sigmoid_of(0.0), sigmoid_of(-10_000.0)
    (0.5, 0.0)
    """
    return 0.5 + 0.5 * math.tanh(0.5 * z)


def _probability(weights: Sequence[float], features: Sequence[float]) -> float:
    return sigmoid_of(weights[0] + sum(map(mul, weights[1:], features)))
