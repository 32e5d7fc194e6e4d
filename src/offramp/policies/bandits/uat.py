"""UAT: a bandit over one threshold for all exits, its reward discounted by what is unreliable."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import astuple
from typing import Any, ClassVar, Self

from offramp.errors import ConfigError
from offramp.policies.bandits.base import BanditPolicy, Played, RewardSource
from offramp.policies.bandits.reliability import ReliabilityHead
from offramp.policies.bandits.ucb import Reward, UcbOptions
from offramp.policies.base import Feedback
from offramp.policies.setting import Setting

__all__ = ["Uat"]


class Uat(BanditPolicy):
    """Arms are the thresholds 0.1, ..., 0.9; the reward c (1 - g) less what was spent, g a reliability head.

    The authors train the head with the network, on all probabilities; here it is fitted afterwards on the labelled rows
    of the setting, on confidence and depth.

    Source: "Beyond Greedy Exits" 2025 (arXiv 2509.23666), as far as it is known to us.

    Parameters
    ----------
    head : how unreliable an answer is
    options, offload_once : as of every bandit
    """

    name = "uat"
    source = RewardSource.CONFIDENCE
    grid: ClassVar[tuple[float, ...]] = tuple(step / 10 for step in range(1, 10))

    def __init__(
        self,
        setting: Setting,
        head: ReliabilityHead,
        options: UcbOptions | None = None,
        *,
        offload_once: bool = False,
    ) -> None:
        super().__init__(setting, options, offload_once=offload_once)
        self.head = head

    @classmethod
    def start(cls, setting: Setting, seed: int = 0, *, offload_once: bool = False) -> Self:
        if setting.rows is None:
            raise ConfigError(f"policy {cls.name!r} fits its reliability head on labelled rows; the setting has none")
        head = ReliabilityHead.fit(setting.rows.confidence, setting.rows.right)
        return cls(setting, head, offload_once=offload_once)

    def _arms(self) -> list[tuple[float, ...]]:
        return [(threshold,) * (self.setting.exits - 1) for threshold in self.grid]

    def _arm_costs(self) -> list[float]:
        return list(self.grid)

    def _span(self) -> float:
        return 1.0 + self._path_cost(self.setting.exits - 1, self.setting.price)

    def _rewards(self, played: Played, told: Feedback) -> Iterable[Reward]:
        taken = told.confidences[told.exit]
        if taken is not None:
            trusted = taken * (1.0 - self.head(taken, told.exit))
            yield Reward(played.arm, trusted - self._path_cost(told.exit, played.price))

    def _learned(self) -> dict[str, Any]:
        return {"head": astuple(self.head)}

    @classmethod
    def _revive(cls, setting: Setting, options: UcbOptions, offload_once: bool, learned: dict[str, Any]) -> Self:
        slope, depth, offset = learned["head"]
        head = ReliabilityHead(float(slope), float(depth), float(offset))
        return cls(setting, head, options, offload_once=offload_once)

    def __repr__(self) -> str:
        return f"Uat({self.setting!r}, {self.head!r}, {self.options!r}{self._counted})"
