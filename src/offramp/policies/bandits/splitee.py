"""SplitEE: where to split, for data that differ from the training set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Self

from offramp.policies.bandits.base import NEVER, BanditPolicy, Played, RewardSource
from offramp.policies.bandits.ucb import Reward, UcbOptions
from offramp.policies.base import Feedback, FeedbackKind
from offramp.policies.setting import Setting

__all__ = ["ISplitEE", "SplitEE", "SplitEEAudited", "SplitEES"]


class SplitEE(BanditPolicy):
    """Arms are the exits: run to exit i, stop if it is sure, else hand on to the last exit.

    "Sure" is the plan's threshold of that exit; an exit that is off is no arm. The reward is the confidence of the exit
    that answered less the layers up to i and, where the sample went on, the price. The authors' unit of cost is kept
    by ``setting.layer_costs`` = lambda i and ``setting.price`` = o. Only the arm played is learned from.

    Source: Bajpai, Trivedi, Yadav and Hanawal 2023 (arXiv 2309.09195).

    Parameters
    ----------
    remote_layers : charge the layers from the split to the last exit too; the authors count the price alone

    Examples
    --------
    >>> policy = SplitEE(Setting((0.8, None, 0.8), price=0.3, layer_costs=(0.1, 0.2, 0.3, 0.4)))
    >>> policy.splits
    (0, 2, 3)
    """

    name = "splitee"
    source = RewardSource.CONFIDENCE
    side_observations: ClassVar[bool] = False

    def __init__(self, setting: Setting, options: UcbOptions | None = None, remote_layers: bool = False) -> None:
        super().__init__(setting, options)
        self.remote_layers = remote_layers

    @property
    def splits(self) -> tuple[int, ...]:
        """(A,) the exit of each arm."""
        early = [index for index, threshold in enumerate(self.setting.thresholds) if threshold is not None]
        return (*early, self.setting.exits - 1)

    def _arms(self) -> list[tuple[float, ...]]:
        thresholds = self.setting.thresholds
        return [
            tuple(t if e == split and t is not None else NEVER for e, t in enumerate(thresholds))
            for split in self.splits
        ]

    def _arm_costs(self) -> list[float]:
        return [self.layer_costs[split] for split in self.splits]

    def _span(self) -> float:
        return 1.0 + self.setting.price + self.layer_costs[-1]

    def _rewards(self, played: Played, told: Feedback) -> Iterable[Reward]:
        splits = self.splits
        value = self._value(told)
        if value is None:
            return
        for arm in range(played.arm + 1) if self.side_observations else (played.arm,):
            confidence = told.confidences[splits[arm]]
            if confidence is not None:
                yield self._reward(arm, splits[arm], confidence, value, played, told)

    def _reward(self, arm: int, split: int, confidence: float, value: float, played: Played, told: Feedback) -> Reward:
        """Of the arm, were it played; ``value`` is that of the deepest exit that is known."""
        threshold = self._thresholds[arm][split] if split < self.setting.exits - 1 else 0.0
        if confidence >= threshold:
            return Reward(arm, confidence - self.layer_costs[split])
        layers = self.layer_costs[-1 if self.remote_layers else split]
        return Reward(arm, value - layers - played.price)

    def _value(self, told: Feedback) -> float | None:
        return next((c for c in reversed(told.confidences) if c is not None), None)

    def _learned(self) -> dict[str, Any]:
        return {"remote_layers": self.remote_layers}

    @classmethod
    def _revive(cls, setting: Setting, options: UcbOptions, learned: dict[str, Any]) -> Self:
        return cls(setting, options, bool(learned["remote_layers"]))


class SplitEES(SplitEE):
    """SplitEE that learns from every exit it passed (side observations), whose heads must then be computed.

    What a shallower exit would have handed on is valued by the deepest confidence known; the authors read that of the
    last exit, also of samples that never went there.
    """

    name = "splitee-s"
    side_observations = True


class ISplitEE(SplitEES):
    """SplitEE-S for images that get better and worse: the oldest rounds fade, and every context learns alone.

    The released loop counts an arm once more for every shallower exit; here the counts are the rounds (and the side
    observations).

    Source: Bajpai, Jaiswal and Hanawal 2024 (arXiv 2401.10541); the discount is ours.
    """

    name = "i-splitee"
    default_options = UcbOptions("ucb1", discount=0.9995)


class SplitEEAudited(SplitEE):
    """SplitEE whose reward is not what exits think of themselves: their agreement with the last exit.

    That is known of samples that went on and of audited ones; the latter count for one over their propensity, so that
    the means are those of all samples. Learns from side observations.
    """

    name = "splitee-audited"
    source = RewardSource.AUDITS
    feedback = FeedbackKind.AUDITS
    side_observations = True
    default_options = UcbOptions("ucb-tuned")

    def _value(self, told: Feedback) -> float | None:
        return None if not told.labels or told.labels[-1] is None else 1.0

    def _reward(self, arm: int, split: int, confidence: float, value: float, played: Played, told: Feedback) -> Reward:
        agrees = float(told.labels[split] == told.labels[-1])
        reward = super()._reward(arm, split, confidence, value, played, told)
        stays = split == self.setting.exits - 1 or confidence >= self._thresholds[arm][split]
        return Reward(arm, agrees - self.layer_costs[split] if stays else reward.value, 1.0 / told.propensity)
