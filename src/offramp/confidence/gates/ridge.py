"""Logistic regression with a ridge penalty, fitted by Newton steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import NotEnoughSamples, SampleError

__all__ = ["PENALTIES", "RidgeFit", "fit_ridge", "require_finite", "sigmoid"]

Floats = NDArray[np.float64]
PENALTIES = (3000.0, 300.0, 100.0, 30.0, 10.0)
LEAST_ROWS = 20
_STEPS = 50
_ENOUGH = 1e-4  # of log-likelihood to gain; the step from there leaves about its square


@dataclass(frozen=True)
class RidgeFit:
    """Weights, and the log-odds of every row under a fit without that row (to first order)."""

    weights: Floats
    held_out: Floats
    penalty: float

    def losses(self, event: NDArray[np.bool_]) -> Floats:
        """(n,) negative log-likelihood of every row held out."""
        return np.asarray(np.logaddexp(0.0, np.where(event, -self.held_out, self.held_out)))

    def loss(self, event: NDArray[np.bool_]) -> float:
        """Mean of `losses`."""
        return float(self.losses(event).mean())


def sigmoid(x: Floats) -> Floats:
    """1 / (1 + exp(-x)) without overflow.

    Examples
    --------
    >>> sigmoid(np.array([-1000.0, 0.0]))
    array([0. , 0.5])
    """
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def require_finite(features: Floats) -> None:
    """Refuse NaN and infinity.

    Raises
    ------
    SampleError : a row (of n) of ``features`` (n, f) holds one
    """
    finite = np.isfinite(features).all(-1)
    if not finite.all():
        raise SampleError(f"row {int(np.argmin(finite))}: its probabilities hold NaN or infinity; leave it out")


def fit_ridge(
    features: Floats,
    event: NDArray[np.bool_],
    penalties: Sequence[float] = PENALTIES,
    base: int = 1,
    base_penalty: float = 3.0,
) -> RidgeFit:
    """Weights of P(event) = sigmoid(features @ weights), the penalty chosen by leave-one-out likelihood.

    Minimises ``sum log-loss + 1/2 sum penalty_j weights_j^2``. The rows left out are not fitted again: one Newton
    step from the full fit gives their log-odds, ``z + (p - y) / v * h / (1 - h)`` with leverage h and variance
    v = p (1 - p).

    Parameters
    ----------
    features : (n, f), the first column all ones, the others centred and scaled
    event : (n,)
    penalties : to choose from, for the columns ``base`` and after
    base : columns that are always penalised by ``base_penalty`` (the first one by nothing)

    Raises
    ------
    NotEnoughSamples : fewer than 20 rows
    SampleError : NaN or infinite features

    Source: Pregibon 1981, "Logistic Regression Diagnostics", for the one-step formula.

    Examples
    --------
    >>> x = np.linspace(-2, 2, 100)
    >>> fit = fit_ridge(np.stack([np.ones(100), x], 1), x > 0.1, penalties=(1.0,))
    >>> bool(fit.weights[1] > 1)
    True
    """
    if len(features) < LEAST_ROWS:
        raise NotEnoughSamples(f"a gate is fitted on at least {LEAST_ROWS} rows, not {len(features)}")
    require_finite(features)
    rate = (event.sum() + 0.5) / (len(event) + 1.0)
    weights = np.zeros(features.shape[1])
    weights[0] = np.log(rate / (1.0 - rate))
    if not event.any() or event.all():
        return RidgeFit(weights, np.full(len(event), weights[0]), float(penalties[0]))
    best: RidgeFit | None = None
    for penalty in penalties:
        each = np.full(features.shape[1], float(penalty))
        each[:base] = base_penalty
        each[0] = 1e-6
        fit = _newton(features, event.astype(np.float64), each, weights, float(penalty))
        weights = fit.weights
        if best is None or fit.loss(event) < best.loss(event):
            best = fit
    if best is None:
        raise ValueError("there must be at least one penalty")
    return best


def _newton(x: Floats, y: Floats, penalty: Floats, weights: Floats, name: float) -> RidgeFit:
    z = x @ weights
    loss = _loss(z, y, penalty, weights)
    for _ in range(_STEPS):
        p = sigmoid(z)
        slope = x.T @ (p - y) + penalty * weights
        step = np.linalg.solve(_curvature(x, p, penalty), slope)
        gained = float(slope @ step)
        size, next_ = 1.0, weights - step
        while (after := _loss(x @ next_, y, penalty, next_)) > loss - 1e-4 * size * gained and size > 1e-6:
            size /= 2
            next_ = weights - size * step
        weights, z, loss = next_, x @ next_, after
        if gained < _ENOUGH:
            break
    p = sigmoid(z)
    v = np.maximum(p * (1.0 - p), 1e-9)
    leverage = np.minimum(v * (x.T * np.linalg.solve(_curvature(x, p, penalty), x.T)).sum(0), 0.9)
    return RidgeFit(weights, z + (p - y) / v * leverage / (1.0 - leverage), name)


def _curvature(x: Floats, p: Floats, penalty: Floats) -> Floats:
    hessian = (x * np.maximum(p * (1.0 - p), 1e-9)[:, None]).T @ x
    hessian[np.diag_indices(len(penalty))] += penalty
    return np.asarray(hessian)


def _loss(z: Floats, y: Floats, penalty: Floats, weights: Floats) -> float:
    return float(np.logaddexp(0.0, z).sum() - y @ z + 0.5 * (penalty * weights * weights).sum())
