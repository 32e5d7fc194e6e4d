"""CeeBERT: a bandit over thresholds of all exits at once."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import ClassVar

from offramp.policies.bandits.base import BanditPolicy, Played, RewardSource
from offramp.policies.bandits.ucb import Reward
from offramp.policies.base import Feedback

__all__ = ["CeeBert"]


class CeeBert(BanditPolicy):
    """Arms are rows of thresholds in [0.5, 0.95]; the reward is what confidence was gained since the first exit.

    Less the layers computed since, and the price for every exit the sample went past. The authors take every
    combination of ten values; of those there are no more than 128 here, with fewer values where there are more exits,
    and one threshold for all where even two values are too many.

    Source: Bajpai and Hanawal 2024 (arXiv 2405.15039).

    Examples
    --------
    >>> from offramp.policies.setting import Setting
    >>> [len(CeeBert(Setting((None,) * early)).learner().heard) for early in (1, 2, 5, 11)]
    [10, 121, 32, 10]
    """

    name = "ceebert"
    source = RewardSource.CONFIDENCE
    most_arms: ClassVar[int] = 128
    lowest: ClassVar[float] = 0.5
    highest: ClassVar[float] = 0.95

    def _arms(self) -> list[tuple[float, ...]]:
        early = self.setting.exits - 1
        values = 10 if early <= 1 else max(v for v in range(1, 12) if v**early <= self.most_arms)
        if values == 1:
            return [(threshold,) * early for threshold in self._grid(10)]
        return list(itertools.product(self._grid(values), repeat=early))

    def _grid(self, values: int) -> list[float]:
        step = (self.highest - self.lowest) / (values - 1)
        return [round(self.lowest + index * step, 4) for index in range(values)]

    def _arm_costs(self) -> list[float]:
        return [sum(arm) for arm in self._arms()]

    def _span(self) -> float:
        last, price = self.setting.exits - 1, self.setting.price
        return 1.0 + self._path_cost(last, price) - self._path_cost(0, price)

    def _rewards(self, played: Played, told: Feedback) -> Iterable[Reward]:
        first, taken = told.confidences[0], told.confidences[told.exit]
        if first is not None and taken is not None:
            spent = self._path_cost(told.exit, played.price) - self._path_cost(0, played.price)
            yield Reward(played.arm, taken - first - spent)
