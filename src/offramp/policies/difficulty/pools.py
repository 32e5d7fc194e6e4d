"""Pools of easy, moderate and hard samples: the tier each labelled row belongs to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError

__all__ = ["confidence_pools", "dynamics_pools"]

Pools = NDArray[np.intp]


def confidence_pools(confidence: NDArray[np.floating], alphas: NDArray[np.floating]) -> Pools:
    """(n,) the first exit whose confidence reaches its alpha; the last where none does.

    Parameters
    ----------
    confidence : (E, n)
    alphas : (E - 1,)

    Raises
    ------
    ConfigError : another number of alphas

    Source: DIMEE, Bajpai and Hanawal 2025 (arXiv 2410.05338).

    Examples
    --------
    >>> confidence = np.array([[0.9, 0.6, 0.6], [0.9, 0.9, 0.7], [0.9, 0.9, 0.8]])
    >>> confidence_pools(confidence, np.array([0.8, 0.8])).tolist()
    [0, 1, 2]
    """
    early = np.asarray(confidence)[:-1]
    if np.shape(alphas) != (len(early),):
        raise ConfigError(f"{len(early)} early exits need as many alphas, not {np.size(alphas)}")
    reached = np.vstack([early >= np.asarray(alphas)[:, None], np.ones((1, early.shape[1]), bool)])
    return np.asarray(reached.argmax(0), np.intp)


def dynamics_pools(dynamics: NDArray[np.floating], high: float, low: float, steady: float) -> Pools:
    """(n,) 0 where training was soon and steadily sure of the truth, 2 where never, 1 where it wavered.

    Parameters
    ----------
    dynamics : (epochs, n) P(truth) at the end of every epoch
    high, low : the mean over the epochs from which a row is easy, and up to which it is hard
    steady : the standard deviation up to which a row is either

    Source: DIMEC-DC, Bajpai and Hanawal 2024 (arXiv 2412.16616), after dataset cartography.

    Examples
    --------
    >>> dynamics_pools(np.array([[0.9, 0.2, 0.1], [0.9, 0.9, 0.1]]), high=0.8, low=0.3, steady=0.2).tolist()
    [0, 1, 2]
    """
    mean, spread = dynamics.mean(0), dynamics.std(0)
    is_steady = spread <= steady
    return np.where(is_steady & (mean >= high), 0, np.where(is_steady & (mean <= low), 2, 1)).astype(np.intp)
