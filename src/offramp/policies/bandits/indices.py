"""How hopeful a bandit is of an arm: upper confidence indices."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from statistics import NormalDist
from types import MappingProxyType

__all__ = ["INDICES", "Index", "bayes_ucb", "ucb1", "ucb_tuned", "ucb_v"]

#: mean, variance and weight of what was heard of the arm, rounds so far, width of the rewards, exploration
Index = Callable[[float, float, float, float, float, float], float]

_NORMAL = NormalDist()


def ucb1(mean: float, variance: float, heard: float, rounds: float, span: float, exploration: float) -> float:
    """Mean + c span sqrt(ln t / N), whatever the spread of the rewards.

    Source: Auer et al. 2002, with the constant c of the papers on exits in the place of sqrt 2.

    Examples
    --------
    >>> round(ucb1(0.5, 0.0, 4, 54.598, 1.0, 1.0), 3)
    1.5
    """
    return mean + exploration * span * math.sqrt(_log(rounds) / heard)


def ucb_v(mean: float, variance: float, heard: float, rounds: float, span: float, exploration: float) -> float:
    """Mean + c (sqrt(2 V ln t / N) + 3 span ln t / N): small where the arm's rewards hardly spread.

    Source: Audibert, Munos and Szepesvari 2009.

    Examples
    --------
    >>> round(ucb_v(0.5, 0.0, 120, 54.598, 1.0, 1.0), 3)
    0.6
    """
    ratio = _log(rounds) / heard
    return mean + exploration * (math.sqrt(2.0 * variance * ratio) + 3.0 * span * ratio)


def ucb_tuned(mean: float, variance: float, heard: float, rounds: float, span: float, exploration: float) -> float:
    """Mean + c sqrt(ln t / N min(span^2 / 4, V + span^2 sqrt(2 ln t / N))).

    Source: Auer et al. 2002, section 4.

    Examples
    --------
    >>> round(ucb_tuned(0.5, 0.25, 4, 54.598, 1.0, 1.0), 3)
    1.0
    """
    ratio = _log(rounds) / heard
    spread = min(span * span / 4.0, variance + span * span * math.sqrt(2.0 * ratio))
    return mean + exploration * math.sqrt(ratio * spread)


def bayes_ucb(mean: float, variance: float, heard: float, rounds: float, span: float, exploration: float) -> float:
    """The 1 - 1 / t quantile of a normal posterior of the mean.

    The variance is the arm's, joined with one reward's worth of the largest possible, span^2 / 4.

    Source: Kaufmann, Cappe and Garivier 2012, with c = 0 and a normal posterior.

    Examples
    --------
    >>> round(bayes_ucb(0.5, 0.25, 100, 40.0, 1.0, 1.0), 3)
    0.598
    """
    spread = (heard * variance + span * span / 4.0) / (heard + 1.0)
    return mean + exploration * _NORMAL.inv_cdf(1.0 - 1.0 / max(2.0, rounds)) * math.sqrt(spread / heard)


def _log(rounds: float) -> float:
    return math.log(max(1.0, rounds))


#: by the names that policies take
INDICES: Mapping[str, Index] = MappingProxyType(
    {"ucb1": ucb1, "ucb-v": ucb_v, "ucb-tuned": ucb_tuned, "bayes-ucb": bayes_ucb}
)
