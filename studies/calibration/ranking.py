"""How likely the last exit on the device is right, learnt from what all exits on the device say."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from offramp.confidence.agreement import agreement, support
from offramp.confidence.scores import Energy, NegativeEntropy, softmax, top_two

__all__ = ["exit_features", "fit_logistic", "learn_ranking"]

Floats = NDArray[np.float64]
Indices = NDArray[np.intp]

_RIDGE = 30.0
_CLASS_RIDGE = 100.0
_TINY = 1e-6


def exit_features(logits: NDArray[np.float32]) -> tuple[Floats, NDArray[np.int64]]:
    """Features (n, F) of the last of the given exits (k, n, K), and its answers (n,)."""
    last = logits[-1]
    p1, p2 = np.clip(top_two(last), _TINY, 1 - _TINY).T
    columns = [logit(p1), p1, np.log(p1 / p2), p1 - p2, NegativeEntropy().score(last), Energy().score(last)]
    answers = logits.argmax(-1)
    if len(logits) > 1:
        rows = np.arange(last.shape[0])
        probabilities = np.stack([softmax(z) for z in logits])
        columns += [agreement(answers)[-1], support(probabilities)[-1]]
        columns += [logit(np.clip(p[rows, answers[-1]], _TINY, 1 - _TINY)) for p in probabilities[:-1]]
    return np.stack(columns, 1), np.asarray(answers[-1], np.int64)


def learn_ranking(features: Floats, answers: NDArray[np.int64], right: NDArray[np.bool_], fit_on: Indices) -> Floats:
    """(n,) probability of being right: a ridge logistic regression with an offset per class, fitted on some rows."""
    scale = features[fit_on].std(0) + 1e-9
    x = (features - features[fit_on].mean(0)) / scale
    design = np.hstack([np.ones((len(x), 1)), x, np.eye(int(answers.max()) + 1)[answers]])
    ridge = np.full(design.shape[1], _CLASS_RIDGE)
    ridge[: 1 + x.shape[1]] = _RIDGE
    ridge[:2] = _TINY  # the log-odds of the highest probability are free: with few rows this is their order
    return np.asarray(expit(design @ fit_logistic(design[fit_on], right[fit_on], ridge)))


def fit_logistic(design: Floats, right: NDArray[np.bool_], ridge: Floats) -> Floats:
    """(F,) weights that maximise the likelihood less ``ridge / 2`` times their squares, by Newton steps."""
    weights = np.zeros(design.shape[1])
    for _ in range(30):
        p = expit(design @ weights)
        slope = design.T @ (p - right) + ridge * weights
        curve = (design * (p * (1 - p))[:, None]).T @ design + np.diag(ridge)
        step = np.linalg.solve(curve, slope)
        weights -= step
        if np.abs(step).max() < 1e-6:
            break
    return weights
