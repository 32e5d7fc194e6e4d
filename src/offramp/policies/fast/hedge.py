"""Hedge-HI and its restarts over many shuffles, a sample of every shuffle at a time."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from offramp.policies.fast.draws import BLOCK, ManyDraws
from offramp.policies.fast.experts import ManyExperts
from offramp.policies.fast.rows import Exits, Floats, Rows, Seeds, blocks, levels, of_all, prices, same
from offramp.policies.hedge_hi import HedgeHI
from offramp.policies.hedge_hi_restart import FIRST, HedgeHIRestart
from offramp.policies.learner import tuned_exploration
from offramp.policies.stream import Stream

__all__ = ["hedge_hi_exits", "hedge_hi_restart_exits"]


def hedge_hi_exits(policies: Sequence[HedgeHI], stream: Stream, order: Rows, seeds: Seeds) -> Exits:
    """(s, n) exits of Hedge-HI.

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
    bits = same(policies, "bits", "confidences rounded to the same bits")
    experts, draws = ManyExperts(bits, len(order)), ManyDraws(seeds)
    eta, exploration = of_all(policies, "eta"), of_all(policies, "exploration")
    wrong = stream.predicted[0] != stream.predicted[-1]
    exits = np.empty(order.T.shape, np.int8)
    for begin, rows in blocks(order, BLOCK // 2):  # a sample takes two draws
        drawn, at = draws.block(), levels(stream, rows, 1 << bits)
        gain = eta / exploration * (prices(policies, stream, rows) - wrong[rows])
        exits[begin : begin + len(rows)] = _walk(experts, at, drawn, exploration, gain, meets=True)
    return exits.T


def hedge_hi_restart_exits(policies: Sequence[HedgeHIRestart], stream: Stream, order: Rows, seeds: Seeds) -> Exits:
    """(s, n) exits of Hedge-HI-Restart; parameters as of `hedge_hi_exits`. Epochs begin in all shuffles at once."""
    bits = same(policies, "bits", "confidences rounded to the same bits")
    experts, draws = ManyExperts(bits, len(order)), ManyDraws(seeds)
    eta, exploration = of_all(policies, "eta"), of_all(policies, "exploration")
    wrong = stream.predicted[0] != stream.predicted[-1]
    exits = np.empty(order.T.shape, np.int8)
    everyone, seen, epoch, ends = np.arange(len(order)), experts.met, 0, FIRST
    drawn = np.empty((0, len(order)))
    for begin, rows in blocks(order, FIRST):
        if begin == ends:
            epoch += 1
            ends += FIRST << epoch
            experts.restart(seen)
            eta, exploration = _tuned(policies, seen.sum(1).tolist(), FIRST << epoch)
        drawn = drawn[2 * FIRST :] if len(drawn) > 2 * FIRST else draws.block()
        at = levels(stream, rows, 1 << bits)
        gain = eta / exploration * (prices(policies, stream, rows) - wrong[rows])
        exits[begin : begin + len(rows)] = _walk(experts, at, drawn, exploration, gain, meets=False)
        seen[everyone, at - 1] |= at > 0
    return exits.T


def _walk(experts: ManyExperts, at: Rows, drawn: Floats, exploration: Floats, gain: Floats, meets: bool) -> Exits:
    """(b, s) exits of a block of samples, learned from; ``meets`` has confidences first met split pieces."""
    experts.settle()
    explores = np.asarray(drawn[1::2][: len(at)] < exploration)
    factor = np.exp(np.where(explores, gain, 0.0))
    some = np.asarray(explores.any(1))
    exits = np.empty(at.shape, np.int8)
    for step, here in enumerate(at):
        if meets:
            experts.meet(here)
        place = experts.below(here)
        exits[step] = (drawn[2 * step] >= place.weight) | explores[step]
        if some[step]:
            experts.scale(place, factor[step])
    return exits


def _tuned(policies: Sequence[HedgeHIRestart], experts: list[int], samples: int) -> tuple[Floats, Floats]:
    """(s,) rate and share explored in an epoch of so many samples."""
    found = [
        tuned_exploration(samples, policy.price, math.log(max(2, count)))
        for policy, count in zip(policies, experts, strict=True)
    ]
    exploration, eta = np.array(found).T
    return eta, exploration
