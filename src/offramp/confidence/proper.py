"""Proper scoring rules: the honest distribution, and only that, is best on average."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.calibrator import check_labelled
from offramp.confidence.scores import softmax

__all__ = ["brier_score", "negative_log_likelihood"]

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


def brier_score(logits: Floats, labels: Ints) -> float:
    """Mean over rows of the squared distance between probabilities and the one-hot label; in [0, 2].

    Parameters
    ----------
    logits : (n, K), n >= 2
    labels : (n,)

    Raises
    ------
    NotEnoughSamples, SampleError : as `check_labelled`

    Source: Brier 1950 (the multi-class form; half of it is the binary one for K = 2).

    Examples
    --------
    >>> brier_score(np.zeros((2, 2)), np.array([0, 1]))
    0.5
    """
    z, y = check_labelled(logits, labels, "a Brier score")
    p = softmax(z)
    p[np.arange(len(y)), y] -= 1.0
    return float((p**2).sum(-1).mean())


def negative_log_likelihood(logits: Floats, labels: Ints) -> float:
    """Mean of -ln P(label), in nats.

    Parameters
    ----------
    logits : (n, K), n >= 2
    labels : (n,)

    Raises
    ------
    NotEnoughSamples, SampleError : as `check_labelled`

    Examples
    --------
    >>> round(negative_log_likelihood(np.zeros((2, 2)), np.array([0, 1])), 4)
    0.6931
    """
    z, y = check_labelled(logits, labels, "a likelihood")
    top = z.max(-1)
    log_sum = top + np.log(np.exp(z - top[:, None]).sum(-1))
    return float((log_sum - z[np.arange(len(y)), y]).mean())
