"""The rules that are compared: who goes on, at every price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.policies.hindsight import best_threshold
from studies import two_stage
from studies.hi.pairs import Pair
from studies.two_stage import who_goes_on

__all__ = ["PRICES", "RULES", "Numbers", "numbers_of", "thresholds"]

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Rows = NDArray[np.intp]
#: of one offload, in units of one mistake
PRICES = np.array([0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5])
#: those of two stages; its threshold is the published theta*
RULES = tuple("theta*" if rule == "threshold" else rule for rule in two_stage.RULES)


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
    here, later = ~pair.right_here[rest], ~pair.right_later[rest]
    goes_on = who_goes_on(pair, fit, rest, PRICES, thresholds)
    return {name: _numbers(goes_on[rule], here, later) for name, rule in zip(RULES, two_stage.RULES, strict=True)}


def _numbers(goes_on: Bools, here: Bools, later: Bools) -> Numbers:
    offloaded = goes_on.mean(1)
    wrong = np.where(goes_on, later, here).mean(1)
    return Numbers(PRICES * offloaded + wrong, offloaded, 1.0 - wrong)
