"""Vector scaling: a factor and an offset per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.calibrator import Calibrator, Floats, Ints, check_labelled
from offramp.confidence.scores import softmax

__all__ = ["VectorScaling"]


class VectorScaling(Calibrator):
    """Multiply the logits of each class by a fitted factor and add a fitted offset.

    Factors and offsets minimise the negative log-likelihood plus ``ridge / 2`` times their squared distance from
    factor 1 and offset 0 (per row; a class that the rows hardly show keeps the logits it has). The problem is convex.

    Parameters
    ----------
    factor, offset : (K,) as learnt; ``None`` leaves logits as they are
    ridge : weight of the penalty

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks".

    Examples
    --------
    >>> logits = np.array([[2.0, 0.0], [2.0, 0.0], [0.0, 2.0], [0.0, 2.0]])
    >>> scaling = VectorScaling().fit(logits, np.array([0, 1, 1, 1]))
    >>> bool(scaling.offset[1] > scaling.offset[0])
    True
    """

    kind = "vector_scaling"

    def __init__(
        self, factor: Sequence[float] | None = None, offset: Sequence[float] | None = None, ridge: float = 1e-4
    ) -> None:
        if (factor is None) != (offset is None) or (
            factor is not None and offset is not None and len(factor) != len(offset)
        ):
            raise ValueError("vector scaling needs one factor and one offset per class, or neither")
        if not ridge >= 0:
            raise ValueError(f"the ridge must be at least 0, not {ridge}")
        self.factor = None if factor is None else np.asarray(factor, np.float64)
        self.offset = None if offset is None else np.asarray(offset, np.float64)
        self.ridge = float(ridge)

    def fit(self, logits: Floats, labels: Ints) -> VectorScaling:
        from scipy.optimize import minimize

        z, y = check_labelled(logits, labels, "vector scaling")
        rows, classes = z.shape
        hit = np.zeros_like(z)
        hit[np.arange(rows), y] = 1.0
        start = np.concatenate([np.ones(classes), np.zeros(classes)])

        def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
            moved = z * parameters[:classes] + parameters[classes:]
            p = softmax(moved)
            top = moved.max(-1)
            log_sum = top + np.log(np.exp(moved - top[:, None]).sum(-1))
            away = parameters - start
            value = (log_sum - moved[np.arange(rows), y]).mean() + self.ridge / 2 * away @ away
            slope = (p - hit) / rows
            return float(value), np.concatenate([(slope * z).sum(0), slope.sum(0)]) + self.ridge * away

        best = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 500})
        self.factor, self.offset = best.x[:classes], best.x[classes:]
        return self

    def transform(self, logits: Floats) -> NDArray[np.float64]:
        z = np.asarray(logits, np.float64)
        return z if self.factor is None or self.offset is None else z * self.factor + self.offset

    def to_dict(self) -> dict[str, Any]:
        return {
            "factor": None if self.factor is None else self.factor.tolist(),
            "offset": None if self.offset is None else self.offset.tolist(),
            "ridge": self.ridge,
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> VectorScaling:
        return cls(body["factor"], body["offset"], body["ridge"])

    def __repr__(self) -> str:
        return f"VectorScaling({self.to_dict()['factor']}, {self.to_dict()['offset']}, ridge={self.ridge:g})"
