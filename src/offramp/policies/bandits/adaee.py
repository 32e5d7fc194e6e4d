"""AdaEE: a bandit over thresholds of the one exit on the device."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from offramp.policies.bandits.base import NEVER, BanditPolicy, Played, RewardSource
from offramp.policies.bandits.ucb import Reward, UcbOptions
from offramp.policies.base import Feedback

__all__ = ["AdaEE", "Ucbee"]


class AdaEE(BanditPolicy):
    """Arms are the thresholds 0, 0.1, ..., 1 of the first exit; going on gains what the last exit is surer.

    Stopping gives 0, going on max(c_last - c_first, 0) less what the way costs: the price, and the layers in between,
    which the authors leave out. Exits between the first and the last are passed. Every context (level of distortion,
    domain) has its own learner. Where the last exit is less sure than the threshold the authors answer with the surer
    of the two; here it answers.

    Source: Pacheco, Shifrin, Couto, Menasche, Hanawal and Campista 2023 (doi 10.1109/ICC45041.2023.10279243).

    Examples
    --------
    >>> from offramp.policies.setting import Setting
    >>> len(AdaEE(Setting((None,), price=0.1)).learner().heard)
    11
    """

    name = "adaee"
    source = RewardSource.CONFIDENCE
    grid: ClassVar[tuple[float, ...]] = tuple(step / 10 for step in range(11))

    def _arms(self) -> list[tuple[float, ...]]:
        return [(threshold, *[NEVER] * (self.setting.exits - 2))[: self.setting.exits - 1] for threshold in self.grid]

    def _arm_costs(self) -> list[float]:
        return list(self.grid)

    def _span(self) -> float:
        dearest = self._beyond(self.setting.price)
        return max(1.0 + self.layer_costs[-1] - self.layer_costs[0], dearest)

    def _beyond(self, price: float) -> float:
        """What the way from the first exit to the last costs."""
        return self._path_cost(self.setting.exits - 1, price) - self._path_cost(0, price)

    def _rewards(self, played: Played, told: Feedback) -> Iterable[Reward]:
        first, last = told.confidences[0], told.confidences[-1]
        if told.exit < self.setting.exits - 1:
            yield Reward(played.arm, 0.0)
        elif first is not None and last is not None:
            yield Reward(played.arm, max(last - first, 0.0) - self._beyond(played.price))


class Ucbee(AdaEE):
    """AdaEE with the index UCB-Tuned.

    Source: Pacheco et al. 2025 (doi 10.1109/TNSM.2024.3479076); the index after arXiv 2604.24810.
    """

    name = "ucbee"
    default_options = UcbOptions("ucb-tuned")
