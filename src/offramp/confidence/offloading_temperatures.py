"""Temperatures chosen for what offloading costs and gains, not for the likelihood."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.exit_temperatures import check_target, leaving
from offramp.confidence.scores import softmax
from offramp.errors import ConfigError

__all__ = ["Offloading", "offloading_temperatures"]

Floats = NDArray[np.floating]
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Offloading:
    """What `offloading_temperatures` maximises: ``accuracy_weight`` x accuracy - mean cost.

    Parameters
    ----------
    cost : (E,) of a row that leaves by each exit, seconds or any unit; divided by the largest
    target : the threshold rows leave by, in [0, 1]
    accuracy_weight : what a right answer is worth, in units of the largest cost

    Raises
    ------
    ConfigError : no positive cost, or a target outside [0, 1]
    """

    cost: tuple[float, ...]
    target: float = 0.8
    accuracy_weight: float = 1.0

    def __post_init__(self) -> None:
        check_target(self.target)
        if not self.cost or not min(self.cost) >= 0 or not max(self.cost) > 0:
            raise ConfigError(f"offloading needs the cost of every exit, one of them positive, not {self.cost}")

    def value(self, confidence: Floats, correct: NDArray[np.bool_]) -> float:
        """The objective when rows with confidence (E, n) leave at the target; ``correct`` (E, n).

        Examples
        --------
        >>> right = np.array([[True, False], [True, True]])
        >>> Offloading((0.0, 1.0)).value(np.array([[0.9, 0.3], [1.0, 1.0]]), right)
        0.5
        """
        exits = leaving(confidence, self.target)
        accuracy = correct[exits, np.arange(len(exits))].mean()
        cost = np.asarray(self.cost)[exits].mean() / max(self.cost)
        return float(self.accuracy_weight * accuracy - cost)


def offloading_temperatures(
    logits: Floats,
    labels: NDArray[np.integer],
    objective: Offloading,
    rng: np.random.Generator,
    *,
    steps: int = 150,
    start: float = 1.0,
    within: tuple[float, float] = (0.05, 20.0),
) -> Array:
    """(E,) temperatures found by simultaneous perturbation (SPSA) on stored logits.

    Every step moves all temperatures at once along a random sign vector D, by the difference of the objective at
    T + c D and T - c D. The objective is a step function of few rows, so the best temperatures met are kept: the
    result is never worse on these rows than the start. The last exit has no gate; its temperature stays.

    Parameters
    ----------
    logits : (E, n, K)
    labels : (n,)
    objective : what to maximise
    rng : draws the signs
    steps : pairs of evaluations
    start : temperature of every exit before the first step
    within : bounds of every temperature

    Source: Pacheco et al., "offloading-driven temperature scaling" (the sequel of JNCA 217:103679); Spall 1998 for
    the gains a/(A + k + 1)^0.602 and c/(k + 1)^0.101, here a = 0.5, A = steps/10, c = 0.1.

    Examples
    --------
    >>> draw = np.random.default_rng(0)
    >>> labels = draw.integers(0, 2, 500)
    >>> logits = np.stack([draw.normal(4 * (labels == c), 2.5, (2, 500)) for c in (0, 1)], -1)
    >>> found = offloading_temperatures(logits, labels, Offloading((0.1, 1.0), 0.9), draw)
    >>> found.shape, float(found[1])
    ((2,), 1.0)
    """
    z = np.asarray(logits, np.float64)
    correct = z.argmax(-1) == np.asarray(labels)
    if len(objective.cost) != len(z):
        raise ConfigError(f"offloading has {len(objective.cost)} costs, but there are {len(z)} exits")

    def value(temperatures: Array) -> float:
        confidence = np.stack([softmax(zi, t).max(-1) for zi, t in zip(z, temperatures, strict=True)])
        return objective.value(confidence, correct)

    return _spsa(value, np.full(len(z), float(start)), rng, steps, within)


def _spsa(
    value: Callable[[Array], float], start: Array, rng: np.random.Generator, steps: int, within: tuple[float, float]
) -> Array:
    now, best, highest = start.copy(), start.copy(), value(start)
    moves = np.ones(len(start))
    moves[-1] = 0.0
    for step in range(steps):
        gain = 0.5 / (steps / 10 + step + 1) ** 0.602
        reach = 0.1 / (step + 1) ** 0.101
        signs = moves * rng.choice([-1.0, 1.0], len(now))
        ends = [np.clip(now + side * reach * signs, *within) for side in (1.0, -1.0)]
        up, down = (value(end) for end in ends)
        for end, reached in zip(ends, (up, down), strict=True):
            if reached > highest:
                best, highest = end, reached
        now = np.clip(now + gain * (up - down) / (2 * reach) * signs, *within)
    return now if value(now) > highest else best
