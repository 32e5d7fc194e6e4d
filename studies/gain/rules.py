"""The rules that are compared, and what they cost."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.evidence import ExitEvidence
from offramp.confidence.gates.gain import GainGate
from offramp.confidence.gates.logistic import LogisticGate
from studies.gain.problems import Problem

__all__ = ["PRICES", "RULES", "best_thresholds", "costs_of_rules"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]
#: of one offload, in units of one error
PRICES = np.array([0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5])
RULES = ("never", "always", "threshold", "logistic", "gain", "hindsight", "oracle")


def costs_of_rules(problem: Problem, fit: Rows, rest: Rows) -> Mapping[str, Floats]:
    """(prices, rest) cost of every row under every rule, fitted on the rows ``fit``.

    ``hindsight`` and ``oracle`` alone look at the labels of ``rest``.
    """
    wrong_here, wrong_later = ~problem.right_here, ~problem.right_later
    here, later, score = wrong_here[rest], wrong_later[rest], problem.confidence
    fitted_on = wrong_here[fit], wrong_later[fit]
    logistic = LogisticGate.fit(_take(problem.evidence, fit), problem.right_here[fit])
    gate = GainGate.fit_features(problem.features.take(fit), problem.right_here[fit], problem.right_later[fit])
    decider = logistic.score(_take(problem.evidence, fit)), logistic.score(_take(problem.evidence, rest))
    offloaded = {
        "never": np.zeros((len(PRICES), len(rest)), bool),
        "always": np.ones((len(PRICES), len(rest)), bool),
        "threshold": score[rest] < best_thresholds(score[fit], *fitted_on)[:, None],
        "logistic": decider[1] < best_thresholds(decider[0].astype(np.float64), *fitted_on)[:, None],
        "gain": gate.gain_of_features(problem.features.take(rest)) > PRICES[:, None],
        "hindsight": score[rest] < best_thresholds(score[rest], here, later)[:, None],
        "oracle": here > PRICES[:, None] + later,
    }
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


def _take(evidence: ExitEvidence, rows: Rows) -> ExitEvidence:
    return ExitEvidence(evidence.exit, evidence.confidence[rows], evidence.probabilities[rows])
