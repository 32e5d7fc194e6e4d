"""Lyapunov-EXP4 over many shuffles, a sample of every shuffle at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offramp.policies.fast.draws import BLOCK, ManyDraws
from offramp.policies.fast.rows import Exits, Rows, Seeds, blocks, levels, of_all, same
from offramp.policies.fast.weights import ManyWeights
from offramp.policies.lyapunov_exp4 import LyapunovExp4
from offramp.policies.stream import Stream

__all__ = ["lyapunov_exp4_exits"]

_MOST = 50.0  # by which a log weight changes at once


def lyapunov_exp4_exits(policies: Sequence[LyapunovExp4], stream: Stream, order: Rows, seeds: Seeds) -> Exits:
    """(s, n) exits of Lyapunov-EXP4.

    Parameters
    ----------
    policies : s fresh ones, for their budgets and rates
    stream : with one early exit
    order : (s, n) rows in the order asked
    seeds : (s,) of the policies

    Raises
    ------
    ConfigError : thresholds have not the same bits
    """
    weights = ManyWeights(same(policies, "bits", "confidences rounded to the same bits"), len(order))
    draws, queue = ManyDraws(seeds), np.zeros(len(order))
    budget, eta, share = (of_all(policies, name) for name in ("budget", "eta", "exploration"))
    rate = eta / of_all(policies, "weight")
    wrong = stream.predicted[0] != stream.predicted[-1]
    uses = np.ones(len(stream)) if stream.price is None else np.asarray(stream.price, np.float64)
    exits = np.empty(order.T.shape, np.int8)
    for begin, rows in blocks(order, BLOCK):
        drawn, at = draws.block(), levels(stream, rows, weights.size)
        used, unlike = uses[rows], wrong[rows]
        weights.settle()
        for step in range(len(rows)):
            place = weights.below(at[step])
            chance = (1.0 - share) * (1.0 - place.weight) + share / 2.0
            on = drawn[step] < chance
            told = on & unlike[step]
            fewer = np.where(told, np.minimum(eta / np.where(told, chance, 1.0), _MOST), 0.0)
            weights.scale(place, np.exp(np.minimum(rate * queue * used[step], _MOST) - fewer))
            queue = np.maximum(0.0, queue + np.where(on, used[step], 0.0) - budget)
            exits[begin + step] = on
    return exits.T
