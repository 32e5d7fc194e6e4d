"""Scores: how sure an exit is, from its logits alone."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

__all__ = ["Energy", "Margin", "MaxProbability", "NegativeEntropy", "Score", "softmax", "top_two"]

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


def top_two(logits: Floats) -> NDArray[np.float64]:
    """(N, 2) highest and second highest probability of logits (N, K): the features of small deciders.

    Examples
    --------
    >>> top_two(np.array([[0.0, 0.0, -1000.0]]))
    array([[0.5, 0.5]])
    """
    return np.asarray(np.partition(softmax(logits), -2, axis=-1)[..., :-3:-1])


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
        top = top_two(logits)
        return np.asarray(top[..., 0] - top[..., 1])


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


class Energy(Score):
    """How far the logits lie above a uniform guess: x / (1 + x), with x = logsumexp(z - mean z) - ln K >= 0.

    The free energy of Liu et al. is -logsumexp(z). It changes when all logits of a row are shifted alike, which
    neither the probabilities nor recorded log-probabilities know, so logits are centred first; x is 0 for a uniform
    guess by Jensen's inequality. x / (1 + x) is monotone, so thresholds mean the same, and does not saturate as a
    probability does: rows that all have a highest probability of 1 are still told apart.

    Source: Liu et al. 2020, "Energy-based Out-of-distribution Detection" (uncentred).

    Examples
    --------
    >>> Energy().score(np.array([[0.0, 0.0], [40.0, -40.0], [80.0, -80.0]])).round(3)
    array([0.   , 0.975, 0.988])
    """

    def score(self, logits: Floats) -> NDArray[np.float64]:
        z = np.asarray(logits, np.float64)
        z = z - z.mean(-1, keepdims=True)
        top = z.max(-1)
        above = top + np.log(np.exp(z - top[..., None]).sum(-1)) - np.log(z.shape[-1])
        above = np.maximum(above, 0.0)
        return np.asarray(above / (1.0 + above))
