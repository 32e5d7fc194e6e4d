"""Scores: how sure an exit is, from its logits alone."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

__all__ = ["Margin", "MaxProbability", "NegativeEntropy", "Score", "softmax"]

Floats = NDArray[np.floating]


def softmax(logits: Floats, temperature: float = 1.0) -> NDArray[np.float64]:
    """Probabilities (..., K) of logits (..., K), in float64 and without overflow.

    Examples
    --------
    >>> softmax(np.array([1000.0, 0.0]))
    array([1., 0.])
    """
    scaled = np.asarray(logits, np.float64) / temperature
    scaled -= scaled.max(-1, keepdims=True)
    np.exp(scaled, out=scaled)
    return np.asarray(scaled / scaled.sum(-1, keepdims=True))


class Score(ABC):
    """One number per row, in [0, 1], higher is surer."""

    @abstractmethod
    def score(self, logits: Floats) -> NDArray[np.float64]:
        """(N,) scores of logits (N, K)."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class MaxProbability(Score):
    """The highest probability.

    Examples
    --------
    >>> MaxProbability().score(np.array([[0.0, 0.0]]))
    array([0.5])
    """

    def score(self, logits: Floats) -> NDArray[np.float64]:
        return np.asarray(softmax(logits).max(-1))


class Margin(Score):
    """Highest minus second highest probability.

    Examples
    --------
    >>> Margin().score(np.array([[0.0, 0.0]]))
    array([0.])
    """

    def score(self, logits: Floats) -> NDArray[np.float64]:
        top = np.partition(softmax(logits), -2, axis=-1)[..., -2:]
        return np.asarray(top[..., 1] - top[..., 0])


class NegativeEntropy(Score):
    """1 minus the entropy divided by ln K: 0 for a uniform guess, 1 for certainty.

    Source: Teerapittayanon et al. 2016 (BranchyNet) gate on the entropy; this is its mirror image.

    Examples
    --------
    >>> NegativeEntropy().score(np.array([[0.0, 0.0], [1000.0, 0.0]]))
    array([0., 1.])
    """

    def score(self, logits: Floats) -> NDArray[np.float64]:
        p = softmax(logits)
        entropy = -np.sum(np.where(p > 0, p * np.log(np.where(p > 0, p, 1.0)), 0.0), axis=-1)
        return np.asarray(np.clip(1.0 - entropy / np.log(p.shape[-1]), 0.0, 1.0))
