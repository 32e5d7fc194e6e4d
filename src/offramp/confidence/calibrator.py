"""The seam of calibrators: logits in, calibrated logits out."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.errors import NotEnoughSamples, SampleError

__all__ = ["Calibrator", "check_labelled"]

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


class Calibrator(ABC):
    """Maps logits to logits whose softmax is calibrated."""

    kind: str

    @abstractmethod
    def fit(self, logits: Floats, labels: Ints) -> Calibrator:
        """Learn from logits (n, K) and labels (n,); returns itself."""

    @abstractmethod
    def transform(self, logits: Floats) -> NDArray[np.float64]:
        """Calibrated logits (n, K)."""

    @abstractmethod
    def to_dict(self) -> dict[str, Any]:
        """What was learnt, in plain types."""

    @classmethod
    @abstractmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Calibrator:
        """The calibrator that learnt this."""

    def to_json(self) -> str:
        """One line of JSON with ``kind`` in it; `offramp.confidence.calibrators.calibrator_from_json` reads it."""
        return json.dumps({"kind": self.kind, **self.to_dict()})


def check_labelled(logits: Floats, labels: Ints, what: str) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits (n, K) as float64 and labels (n,), fit to learn from; ``what`` names the learner in messages.

    Raises
    ------
    NotEnoughSamples : n < 2
    SampleError : NaN or infinite logits, labels out of range, or not one label per row

    Examples
    --------
    >>> check_labelled(np.zeros((2, 2), np.float32), np.array([0, 1]), "a temperature")[1]
    array([0, 1])
    """
    z, y = np.asarray(logits, np.float64), np.asarray(labels, np.int64)
    if z.ndim != 2 or y.shape != z.shape[:1]:
        raise SampleError(f"{what} needs logits (n, K) and labels (n,), found shapes {z.shape} and {y.shape}")
    if len(z) < 2:
        raise NotEnoughSamples(f"{what} needs at least 2 rows, not {len(z)}")
    finite = np.isfinite(z).all(-1)
    if not finite.all():
        raise SampleError(f"the logits of row {int(np.flatnonzero(~finite)[0])} hold NaN or infinity")
    if y.min() < 0 or y.max() >= z.shape[1]:
        raise SampleError(f"labels must lie in 0..{z.shape[1] - 1}, found {y.min()}..{y.max()}")
    return z, y
