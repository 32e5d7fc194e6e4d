"""Published learners over many shuffles, a sample of every shuffle at a time.

Each gives the decisions of the policy of its name started with the same seeds, its feedback told at once. The weights
are the same numbers but for rounding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offramp.errors import ConfigError
from offramp.policies.fast.draws import BLOCK, ManyDraws
from offramp.policies.fast.rows import Exits, Rows, Seeds, blocks, levels, of_all, prices, same
from offramp.policies.fast.weights import ManyWeights
from offramp.policies.hi_lcb import HILCBLite
from offramp.policies.hil_f import HilF
from offramp.policies.hil_n import HilN
from offramp.policies.stream import Stream

__all__ = ["hi_lcb_exits", "hil_f_exits", "hil_n_exits"]

_BITS = "confidences rounded to the same bits"


def hil_f_exits(policies: Sequence[HilF], stream: Stream, order: Rows, seeds: Seeds) -> Exits:
    """(s, n) exits of HIL-F.

    Parameters
    ----------
    policies : s fresh ones, for their prices and rates
    stream : with one early exit
    order : (s, n) rows in the order asked
    seeds : (s,) of the policies

    Raises
    ------
    ConfigError : confidences are not rounded to the same bits
    """
    weights, draws = ManyWeights(same(policies, "bits", _BITS), len(order)), ManyDraws(seeds)
    eta = of_all(policies, "eta")
    wrong = stream.predicted[0] != stream.truth
    exits = np.empty(order.T.shape, np.int8)
    for begin, rows in blocks(order, BLOCK):
        drawn = draws.block()
        weights.settle()
        factor = np.exp(eta * (prices(policies, stream, rows) - wrong[rows]))
        at = levels(stream, rows, weights.size)
        for step in range(len(rows)):
            place = weights.below(at[step])
            exits[begin + step] = drawn[step] >= place.weight
            weights.scale(place, factor[step])
    return exits.T


def hil_n_exits(policies: Sequence[HilN], stream: Stream, order: Rows, seeds: Seeds) -> Exits:
    """(s, n) exits of HIL-N; parameters as of `hil_f_exits`."""
    weights, draws = ManyWeights(same(policies, "bits", _BITS), len(order)), ManyDraws(seeds)
    eta, exploration = of_all(policies, "eta"), of_all(policies, "exploration")
    wrong = stream.predicted[0] != stream.predicted[-1]
    exits = np.empty(order.T.shape, np.int8)
    for begin, rows in blocks(order, BLOCK // 2):  # a sample takes two draws
        drawn = draws.block()
        weights.settle()
        explores = np.asarray(drawn[1::2][: len(rows)] < exploration)
        gain = eta * (prices(policies, stream, rows) - wrong[rows]) / exploration
        factor = np.exp(np.where(explores, gain, 0.0))
        at = levels(stream, rows, weights.size)
        some = np.asarray(explores.any(1))
        for step in range(len(rows)):
            place = weights.below(at[step])
            exits[begin + step] = (drawn[2 * step] >= place.weight) | explores[step]
            if some[step]:
                weights.scale(place, factor[step])
    return exits.T


def hi_lcb_exits(policies: Sequence[HILCBLite], stream: Stream, order: Rows, seeds: Seeds) -> Exits:
    """(s, n) exits of HI-LCB, or of its lite form; parameters as of `hil_f_exits`, nothing is drawn.

    Raises
    ------
    ConfigError : the policies have not the same bins and alpha
    """
    first = policies[0]
    if any((policy.bins, policy.alpha, type(policy)) != (first.bins, first.alpha, type(first)) for policy in policies):
        raise ConfigError("HI-LCB over many shuffles needs the same bins and alpha in all of them")
    bins, lite, everyone = first.bins, type(first) is HILCBLite, np.arange(len(order))
    shape = (len(order), bins)
    mean, width, counts, agreed = np.full(shape, -1.0), np.zeros(shape), np.zeros(shape), np.zeros(shape)
    right = (stream.predicted[0] == stream.predicted[-1]).astype(np.float64)
    exits = np.empty(order.T.shape, np.int8)
    for begin, rows in blocks(order, BLOCK):
        price = prices(policies, stream, rows)
        at = np.minimum(levels(stream, rows, bins), bins - 1)
        scales = np.sqrt(first.alpha * np.log(begin + 1.0 + np.arange(len(rows)))).tolist()
        for step, scale in enumerate(scales):
            here = at[step]
            if lite:
                bound = mean[everyone, here] - scale * width[everyone, here]
            else:
                best = np.maximum.accumulate(mean - scale * width, axis=1)
                bound = np.maximum(best[everyone, here], -1.0)
            goes_on = 1.0 - bound >= price[step]
            exits[begin + step] = goes_on
            who = goes_on.nonzero()[0]
            if len(who):
                place = who, here[who]
                counts[place] += 1.0
                agreed[place] += right[rows[step, who]]
                seen = counts[place]
                mean[place] = agreed[place] / seen
                width[place] = 1.0 / np.sqrt(seen)
    return exits.T
