"""H2T2 over many shuffles, a sample of every shuffle at a time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.policies.fast.draws import BLOCK, ManyDraws
from offramp.policies.fast.rows import Exits, Floats, Rows, Seeds, blocks, of_all, prices, same
from offramp.policies.h2t2 import H2T2
from offramp.policies.stream import Stream

__all__ = ["h2t2_answers"]


def h2t2_answers(policies: Sequence[H2T2], stream: Stream, order: Rows, seeds: Seeds) -> tuple[Exits, NDArray[np.intp]]:
    """(s, n) exits of H2T2, and (s, n) what was said.

    Parameters
    ----------
    policies : s fresh ones, for their prices, costs and rates
    stream : with one early exit, of the classes 0 and 1
    order : (s, n) rows in the order asked
    seeds : (s,) of the policies

    Raises
    ------
    ConfigError : thresholds are not multiples of the same step, or the early exit says another class
    """
    steps = same(policies, "steps", "the same steps of thresholds")
    early = stream.predicted[0]
    if not np.isin(early, (0, 1)).all():
        raise ConfigError(
            f"policy 'h2t2' is for the classes 0 and 1; the exit says {early[~np.isin(early, (0, 1))][0]}"
        )
    pairs, draws = _Pairs(policies, steps), ManyDraws(seeds)
    sure = stream.confidence[0].astype(np.float64)
    below = pairs.below(np.where(early == 1, sure, 1.0 - sure))
    exits, said = np.empty(order.T.shape, np.int8), np.empty(order.T.shape, np.intp)
    for begin, rows in blocks(order, BLOCK // 2):  # a sample takes two draws
        drawn, price = draws.block(), prices(policies, stream, rows)
        at, last = below[rows], stream.predicted[1][rows]
        for step in range(len(rows)):
            explores = drawn[2 * step + 1] < pairs.exploration
            zero, one = pairs.say(at[step], drawn[2 * step])
            exits[begin + step] = explores | ~(zero | one)
            said[begin + step] = one
            who = explores.nonzero()[0]
            if len(who):
                pairs.learn(who, at[step, who], price[step, who], last[step, who])
    gone = exits > 0
    said[gone] = stream.predicted[1][order.T[gone]]
    return exits.T, said.T


class _Pairs:
    """The weights of all pairs of thresholds, in every shuffle.

    What a pair costs on a sample is a number of its lower threshold added to one of its upper: the price where the
    upper is above the score and the mistake of saying 1 where it is not; besides, where the lower is above, too, the
    mistake of saying 0 less the price. So the weight of a pair is a product, and there are 2 (steps + 1) numbers to
    keep for some (steps + 1)^2 / 2 pairs.
    """

    def __init__(self, policies: Sequence[H2T2], steps: int) -> None:
        self._everyone, self._steps = np.arange(len(policies)), np.arange(steps + 1)
        self.exploration = of_all(policies, "exploration")
        self._rate = of_all(policies, "eta") / self.exploration
        self._wrong_one, self._wrong_zero = of_all(policies, "false_positive"), of_all(policies, "false_negative")
        self._lows = np.zeros((len(policies), steps + 1))  # logs, as those that follow
        self._highs = np.zeros_like(self._lows)
        # of the upper thresholds from each on, and none beyond the last
        self._from = np.full((len(policies), steps + 2), -np.inf)
        self._edges = np.zeros_like(self._from)  # shares of the lower thresholds, summed up
        self._sum(self._everyone)

    def below(self, score: Floats) -> Rows:
        """How many steps are at or below each score."""
        return np.searchsorted(self._steps / self._steps[-1], score, side="right")

    def say(self, at: Rows, drawn: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(s,) whether the pair drawn says 0, and whether it says 1."""
        low = (self._edges[:, 1:] > drawn[:, None]).argmax(1)
        zero = np.asarray(low >= at)
        begin, end = self._edges[self._everyone, low], self._edges[self._everyone, low + 1]
        above = np.minimum(self._from[self._everyone, at] - self._from[self._everyone, low], 0.0)
        return zero, ~zero & ((drawn - begin) / (end - begin) < 1.0 - np.exp(above))

    def learn(self, who: Rows, at: Rows, price: Floats, last: Rows) -> None:
        """Charge the pairs of the shuffles ``who`` (m,) what they cost, where the last exit says ``last``."""
        rate = self._rate[who]
        of_zero = np.where(last == 1, self._wrong_zero[who], 0.0)
        of_one = np.where(last == 0, self._wrong_one[who], 0.0)
        above = self._steps >= at[:, None]
        self._lows[who] -= np.where(above, (rate * (of_zero - price))[:, None], 0.0)
        self._highs[who] -= np.where(above, (rate * price)[:, None], (rate * of_one)[:, None])
        self._sum(who)

    def _sum(self, who: Rows) -> None:
        highs = self._highs[who]
        here = np.logaddexp.accumulate(highs[:, ::-1], axis=1)[:, ::-1]
        self._from[who, :-1] = here
        logs = self._lows[who] + here
        shares = np.exp(logs - logs.max(1, keepdims=True))
        self._edges[who, 1:] = np.cumsum(shares / shares.sum(1, keepdims=True), axis=1)
        self._edges[who, -1] = 1.0
