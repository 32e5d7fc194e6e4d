"""Gate settings worth certifying: on no placement is another one both cheaper and safer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.counting import GridCounter
from offramp.confidence.risks import Evidence
from offramp.confidence.settings import threshold_grid

__all__ = ["HOPELESS", "between", "directions", "pareto_settings", "tune_grid"]

Floats = NDArray[np.float64]

#: standard errors: settings this far beyond the limit on the tune rows are not worth a test
HOPELESS = -2.5
#: all settings at least so safe are alike
_SAFE = 12.0
_MIXTURES = 12
_SEED = 0


def tune_grid(evidence: Evidence, max_settings: int) -> GridCounter:
    """The grid of thresholds over the rows of ``evidence``, at most so many settings."""
    early = len(evidence.score)
    points = max(2, int(max_settings ** (1.0 / early) + 1e-9)) if early else 1
    return GridCounter.of([threshold_grid(score, points) for score in evidence.score], evidence.score)


def directions(early: int) -> Floats:
    """(d, E - 1) what it may cost to go on beyond each early exit: each alone, all alike, and random mixtures.

    Any placement and any network charge going on beyond the exits by some such weights, so settings that are best
    in many directions are what a planner can want.

    Examples
    --------
    >>> directions(1)
    array([[1.]])
    """
    if early <= 1:
        return np.ones((1, early))
    mixtures = np.random.default_rng(_SEED).dirichlet(np.full(early, 0.5), _MIXTURES)
    return np.concatenate([np.eye(early), np.full((1, early), 1.0 / early), mixtures])


def pareto_settings(going_on: Floats, safety: Floats, weights: Floats, most: int) -> NDArray[np.intp]:
    """Settings on the front of cost and safety in some direction, thinned evenly in safety.

    Settings far beyond the limit are left out: no rows like these would certify them. So are those that meet it
    by construction: they need no test.

    Parameters
    ----------
    going_on : (m, E - 1) share of the rows that go on beyond each early exit
    safety : (m,) standard errors below the limit
    weights : (d, E - 1)
    most : settings to keep, about

    Returns
    -------
    indices, ascending, each once
    """
    each = max(2, most // len(weights))
    hopeful = np.flatnonzero((safety >= HOPELESS) & np.isfinite(safety))
    found = [np.empty(0, np.intp)]
    for weight in weights:
        cost = going_on[hopeful] @ weight
        order = np.lexsort((cost, -safety[hopeful]))  # safest first; of equally safe ones the cheapest
        best = np.minimum.accumulate(cost[order])
        first = np.ones(len(order), bool)
        first[1:] = cost[order][1:] < best[:-1]
        front = hopeful[order[first]]
        found.append(front[_evenly(np.minimum(safety[front], _SAFE), each)])
    return np.asarray(np.unique(np.concatenate(found)), np.intp)


def _evenly(values: Floats, most: int) -> NDArray[np.intp]:
    """Indices of falling values, at most so many, at about equal steps of the value."""
    if len(values) <= most:
        return np.arange(len(values))
    wanted = np.linspace(values[0], values[-1], most)
    return np.unique(np.clip(np.searchsorted(-values, -wanted), 0, len(values) - 1))


def between(thresholds: Floats, score: NDArray[np.float32], steps: int) -> Floats:
    """Settings on the way from each setting to the next, at equal steps of the rank among the scores.

    A grid over many exits is coarse; the way between two good settings mostly is good too.

    Parameters
    ----------
    thresholds : (m, E - 1), infinity is off
    score : (E - 1, n)
    steps : parts each way is divided into

    Examples
    --------
    >>> between(np.array([[0.0], [np.inf]]), np.array([[0.2, 0.6]], np.float32), 2).ravel().round(2)
    array([0. , 0.4, inf])
    """
    if len(thresholds) < 2 or not len(score):
        return thresholds
    ways = []
    for axis, values in enumerate(np.sort(score, axis=1).astype(np.float64)):
        edges = np.concatenate([[0.0], (values[1:] + values[:-1]) / 2, [np.inf]])
        rank = np.searchsorted(values, thresholds[:, axis].astype(np.float32), side="left")
        part = np.arange(steps) / steps
        on_the_way = rank[:-1, None] * (1 - part) + rank[1:, None] * part
        ranks = np.concatenate([on_the_way.ravel(), rank[-1:]])
        ways.append(edges[np.rint(ranks).astype(np.intp)])
    return np.unique(np.stack(ways, axis=1).astype(np.float32), axis=0).astype(np.float64)
