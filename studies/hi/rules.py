"""The rules that are compared: who goes on, at every price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.evidence import ExitEvidence
from offramp.confidence.gates.gain import GainGate
from offramp.confidence.gates.logistic import LogisticGate
from offramp.policies.hindsight import best_threshold
from studies.hi.pairs import Pair

__all__ = ["PRICES", "RULES", "Numbers", "numbers_of", "thresholds"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]
#: of one offload, in units of one mistake
PRICES = np.array([0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5])
RULES = ("never", "always", "theta*", "logistic", "gain", "hindsight", "oracle")


@dataclass(frozen=True)
class Numbers:
    """Means over the evaluated rows, (prices,) each."""

    cost: Floats
    offloaded: Floats
    accuracy: Floats


def thresholds(score: Floats, wrong_here: Bools, wrong_later: Bools) -> Floats:
    """(prices,) theta* of each price on these rows, mistakes of the large network charged."""
    return np.array([best_threshold(score, wrong_here, price + wrong_later) for price in PRICES.tolist()])


def numbers_of(pair: Pair, fit: Rows, rest: Rows) -> Mapping[str, Numbers]:
    """Every rule, fitted on the rows ``fit``, evaluated on ``rest``; the last two alone look at labels of ``rest``."""
    wrong_here, wrong_later = ~pair.right_here, ~pair.right_later
    here, later, score = wrong_here[rest], wrong_later[rest], pair.confidence
    fitted_on = wrong_here[fit], wrong_later[fit]
    logistic = LogisticGate.fit(_take(pair, fit), pair.right_here[fit])
    decider = [logistic.score(_take(pair, rows)).astype(np.float64) for rows in (fit, rest)]
    features = pair.features
    gate = GainGate.fit_features(features.take(fit), pair.right_here[fit], pair.right_later[fit])
    goes_on = {
        "never": np.zeros((len(PRICES), len(rest)), bool),
        "always": np.ones((len(PRICES), len(rest)), bool),
        "theta*": score[rest] < thresholds(score[fit], *fitted_on)[:, None],
        "logistic": decider[1] < thresholds(decider[0], *fitted_on)[:, None],
        "gain": gate.gain_of_features(features.take(rest)) > PRICES[:, None],
        "hindsight": score[rest] < thresholds(score[rest], here, later)[:, None],
        "oracle": here > PRICES[:, None] + later,
    }
    return {rule: _numbers(on, here, later) for rule, on in goes_on.items()}


def _numbers(goes_on: Bools, here: Bools, later: Bools) -> Numbers:
    offloaded = goes_on.mean(1)
    wrong = np.where(goes_on, later, here).mean(1)
    return Numbers(PRICES * offloaded + wrong, offloaded, 1.0 - wrong)


def _take(pair: Pair, rows: Rows) -> ExitEvidence:
    return ExitEvidence(0, pair.confidence[rows], pair.probabilities[rows])
