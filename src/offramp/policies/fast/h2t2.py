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
    score = np.where(early == 1, sure, 1.0 - sure)
    exits, said = np.empty(order.T.shape, np.int8), np.empty(order.T.shape, np.intp)
    for begin, rows in blocks(order, BLOCK // 2):  # a sample takes two draws
        drawn, price, scores, last = (
            draws.block(),
            prices(policies, stream, rows),
            score[rows],
            stream.predicted[1][rows],
        )
        for step in range(len(rows)):
            explores = drawn[2 * step + 1] < pairs.exploration
            zero, one = pairs.say(scores[step], drawn[2 * step])
            exits[begin + step] = explores | ~(zero | one)
            said[begin + step] = one
            who = explores.nonzero()[0]
            if len(who):
                pairs.learn(who, scores[step, who], price[step, who], last[step, who])
    gone = exits > 0
    said[gone] = stream.predicted[1][order.T[gone]]
    return exits.T, said.T


class _Pairs:
    """The weights of all pairs of thresholds, in every shuffle."""

    def __init__(self, policies: Sequence[H2T2], steps: int) -> None:
        low, high = np.triu_indices(steps + 1)
        self.low, self.high = low / steps, high / steps
        self.exploration = of_all(policies, "exploration")
        self._rate = of_all(policies, "eta") / self.exploration
        self._wrong_one, self._wrong_zero = of_all(policies, "false_positive"), of_all(policies, "false_negative")
        self._logs = np.zeros((len(policies), len(low)))
        self._summed = np.empty_like(self._logs)
        self._sum(np.arange(len(policies)))

    def say(self, score: Floats, drawn: Floats) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """(s,) whether the pair drawn says 0, and whether it says 1."""
        pair = (self._summed > drawn[:, None]).argmax(1)
        zero = score < self.low[pair]
        return zero, ~zero & (score >= self.high[pair])

    def learn(self, who: Rows, score: Floats, price: Floats, last: Rows) -> None:
        """Charge the pairs of the shuffles ``who`` (m,) what they cost, where the last exit says ``last``."""
        zero = score[:, None] < self.low
        one = ~zero & (score[:, None] >= self.high)
        of_zero = np.where(last == 1, self._wrong_zero[who], 0.0)
        of_one = np.where(last == 0, self._wrong_one[who], 0.0)
        costs = np.where(zero, of_zero[:, None], np.where(one, of_one[:, None], price[:, None]))
        logs = self._logs[who] - self._rate[who, None] * costs
        self._logs[who] = logs - logs.max(1, keepdims=True)
        self._sum(who)

    def _sum(self, who: Rows) -> None:
        weights = np.exp(self._logs[who])
        self._summed[who] = np.cumsum(weights / weights.sum(1, keepdims=True), axis=1)
        self._summed[who, -1] = 1.0
