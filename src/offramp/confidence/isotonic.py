"""Isotonic calibration of the highest probability."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.calibrator import Calibrator, Floats, Ints, check_labelled
from offramp.confidence.scores import softmax

__all__ = ["Isotonic"]

_SMALLEST = 1e-12  # probability: a block of rows all right or all wrong stays finite as a logit


class Isotonic(Calibrator):
    """Map the highest probability by the rising function nearest to who was right; the other classes share the rest.

    The function is piecewise linear between the probabilities seen, and constant beyond them. `probability` gives
    the calibrated P(the answer is right). In `transform` the other classes keep their proportions; where the answer
    is so doubtful that another class then has more, the highest of the calibrated logits is that one.

    Parameters
    ----------
    before, after : (m,) knots, both rising; ``None`` leaves logits as they are

    Source: Zadrozny and Elkan 2002; the pool-adjacent-violators fit is scipy's.

    Examples
    --------
    >>> logits = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 0.0], [3.0, 0.0]])
    >>> Isotonic().fit(logits, np.array([1, 0, 1, 0])).probability(logits)
    array([0. , 0.5, 0.5, 1. ])
    """

    kind = "isotonic"

    def __init__(self, before: Sequence[float] | None = None, after: Sequence[float] | None = None) -> None:
        if (before is None) != (after is None):
            raise ValueError("isotonic calibration needs both ends of its knots, or neither")
        self.before = None if before is None else np.asarray(before, np.float64)
        self.after = None if after is None else np.asarray(after, np.float64)
        if self.before is not None and self.after is not None:
            rising = all((np.diff(knots) >= 0).all() for knots in (self.before, self.after))
            if self.before.shape != self.after.shape or not len(self.before) or not rising:
                raise ValueError("isotonic calibration needs knots that rise, as many before as after")

    def fit(self, logits: Floats, labels: Ints) -> Isotonic:
        from scipy.optimize import isotonic_regression

        z, y = check_labelled(logits, labels, "isotonic calibration")
        seen, which, rows = np.unique(_highest(z), return_inverse=True, return_counts=True)
        right = np.bincount(which, weights=z.argmax(-1) == y) / rows
        fitted = np.asarray(isotonic_regression(right, weights=rows).x)
        ends = np.ones(len(seen), bool)  # only the ends of a flat piece are needed
        ends[1:-1] = (fitted[1:-1] != fitted[:-2]) | (fitted[1:-1] != fitted[2:])
        self.before, self.after = seen[ends], np.clip(fitted[ends], 0.0, 1.0)
        return self

    def probability(self, logits: Floats) -> NDArray[np.float64]:
        """(n,) calibrated probability that the class with the highest logit is right."""
        highest = _highest(logits)
        if self.before is None or self.after is None:
            return np.asarray(highest)
        return np.asarray(np.interp(highest, self.before, self.after), np.float64)

    def transform(self, logits: Floats) -> NDArray[np.float64]:
        z = np.asarray(logits, np.float64)
        if self.before is None:
            return z
        top = z.argmax(-1)[:, None]
        others = z.copy()
        np.put_along_axis(others, top, -np.inf, -1)
        most = others.max(-1, keepdims=True)
        others -= most + np.log(np.exp(others - most).sum(-1, keepdims=True))
        p = np.clip(self.probability(z), _SMALLEST, 1 - _SMALLEST)[:, None]
        result = others + np.log1p(-p)
        np.put_along_axis(result, top, np.log(p), -1)
        return result

    def to_dict(self) -> dict[str, Any]:
        return {
            "before": None if self.before is None else self.before.tolist(),
            "after": None if self.after is None else self.after.tolist(),
        }

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Isotonic:
        return cls(body["before"], body["after"])

    def __repr__(self) -> str:
        return f"Isotonic({self.to_dict()['before']}, {self.to_dict()['after']})"


def _highest(logits: Floats) -> NDArray[np.float64]:
    """Highest probability; what differs in the last bits alone is one value."""
    return np.asarray(softmax(logits).max(-1).round(12))
