"""The rules that are compared, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from studies.gain.problems import Problem
from studies.two_stage import RULES, who_goes_on

__all__ = ["PRICES", "RULES", "best_thresholds", "costs_of_rules"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]
#: of one offload, in units of one error
PRICES = np.array([0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5])


def costs_of_rules(problem: Problem, fit: Rows, rest: Rows) -> Mapping[str, Floats]:
    """(prices, rest) cost of every row under every rule, fitted on the rows ``fit``.

    ``hindsight`` and ``oracle`` alone look at the labels of ``rest``.
    """
    here, later = ~problem.right_here[rest], ~problem.right_later[rest]
    offloaded = who_goes_on(problem, fit, rest, PRICES, best_thresholds)
    return {rule: np.where(goes_on, PRICES[:, None] + later, here) for rule, goes_on in offloaded.items()}


def best_thresholds(score: Floats, wrong_here: Bools, wrong_later: Bools) -> Floats:
    """(prices,) thresholds of least cost on these rows; rows with a lower score are offloaded.

    Examples
    --------
    >>> score, wrong = np.array([0.2, 0.6, 0.9]), np.array([True, False, False])
    >>> best_thresholds(score, wrong, np.zeros(3, bool))[0].round(3)
    np.float64(0.4)
    """
    order = np.argsort(score)
    ordered = score[order]
    saved = np.concatenate([[0.0], np.cumsum(wrong_here[order].astype(np.float64) - wrong_later[order])])
    between = np.concatenate([[-np.inf], (ordered[:-1] + ordered[1:]) / 2, [np.inf]])
    apart = np.concatenate([[True], np.diff(ordered) > 0, [True]])  # a threshold cannot part equal scores
    cost = PRICES[:, None] * np.arange(len(score) + 1) - saved
    cost[:, ~apart] = np.inf
    return np.asarray(between[cost.argmin(1)])
