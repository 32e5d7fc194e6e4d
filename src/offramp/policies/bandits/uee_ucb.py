"""UEE-UCB: one exit for the data that comes, found by how exits differ from the first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from offramp.policies.bandits.base import ALWAYS, NEVER, BanditPolicy, Played, RewardSource
from offramp.policies.bandits.ucb import Reward
from offramp.policies.base import Feedback

__all__ = ["UeeUcb"]


class UeeUcb(BanditPolicy):
    """Plays the exit of the least error plus cost; all exits passed on the way are learned from.

    If an exit that is right leaves all later ones right (strong dominance), the error of the first exit less that of
    exit j is the share of samples on which the two differ, and nobody needs labels. It is false for 14 % of the
    samples in the authors' own data. The first sample runs to the last exit.

    Source: HariNarayan, Hanawal and Bhardwaj 2022 (arXiv 2209.09480).

    Examples
    --------
    >>> from offramp.policies.setting import Setting
    >>> from offramp.policies.base import View
    >>> policy = UeeUcb(Setting((None,), layer_costs=(0.1, 0.2)))
    >>> policy.decide(View(sample=0, exit=0, confidence=0.99))
    <Action.GO_ON: 'go_on'>
    >>> policy.learn(Feedback(0, 1, labels=(1, 1), confidences=(0.99, 0.9)))
    >>> policy.decide(View(sample=1, exit=0, confidence=0.4))
    <Action.STOP: 'stop'>
    """

    name = "uee-ucb"
    source = RewardSource.AGREEMENT
    side_observations: ClassVar[bool] = True

    def _arms(self) -> list[tuple[float, ...]]:
        early = self.setting.exits - 1
        return [tuple(ALWAYS if e == arm else NEVER for e in range(early)) for arm in range(early + 1)]

    def _arm_costs(self) -> list[float]:
        return [self._path_cost(arm, self.setting.price) for arm in range(self.setting.exits)]

    def _span(self) -> float:
        return 1.0  # agreement alone is uncertain; what an arm costs is known

    def _first(self) -> list[int]:
        return list(range(self.setting.exits))[::-1]

    def _rewards(self, played: Played, told: Feedback) -> Iterable[Reward]:
        first = told.labels[0] if told.labels else None
        if first is None or told.labels[played.arm] is None:
            return
        arms = range(played.arm + 1) if self.side_observations else (played.arm,)
        for arm in arms:
            if told.labels[arm] is not None:
                gained = float(told.labels[arm] != first)
                yield Reward(arm, gained - self._path_cost(arm, played.price) + self._path_cost(0, played.price))
