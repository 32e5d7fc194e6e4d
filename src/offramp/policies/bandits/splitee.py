"""SplitEE: where to split, for data that differ from the training set."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from offramp.policies.bandits.base import NEVER, BanditPolicy, Played, RewardSource
from offramp.policies.bandits.ucb import Reward, UcbOptions
from offramp.policies.base import Feedback, FeedbackKind

__all__ = ["ISplitEE", "SplitEE", "SplitEEAudited", "SplitEES"]


class SplitEE(BanditPolicy):
    """Arms are the exits: run to exit i, stop if it is sure, else hand on to the last exit.

    "Sure" is the plan's threshold of that exit; an exit that is off is no arm. The reward is the confidence of the exit
    that answered less what the way there cost. With ``offload_once`` that is the authors' count: the layers up to i
    and, where the sample went on, the price, with ``setting.layer_costs`` = lambda i and ``setting.price`` = o; what is
    computed beyond the split is in the price. Only the arm played is learned from.

    Source: Bajpai, Trivedi, Yadav and Hanawal 2023 (arXiv 2309.09195).

    Examples
    --------
    >>> from offramp.policies.setting import Setting
    >>> policy = SplitEE(Setting((0.8, None, 0.8), price=0.3, layer_costs=(0.1, 0.2, 0.3, 0.4)))
    >>> policy.splits
    (0, 2, 3)
    """

    name = "splitee"
    source = RewardSource.CONFIDENCE
    side_observations: ClassVar[bool] = False

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
        return 1.0 + self._path_cost(self.setting.exits - 1, self.setting.price)

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
        stays = self._stays(arm, split, confidence)
        return Reward(arm, (confidence if stays else value) - self._spent(split, stays, played.price))

    def _stays(self, arm: int, split: int, confidence: float) -> bool:
        """Whether the arm stops at its split."""
        return split == self.setting.exits - 1 or confidence >= self._thresholds[arm][split]

    def _spent(self, split: int, stays: bool, price: float) -> float:
        """What a sample costs that stays at a split, or is handed on from there."""
        if self.offload_once:
            return self.layer_costs[split] + (0.0 if stays else price)
        return self._path_cost(split if stays else self.setting.exits - 1, price)

    def _value(self, told: Feedback) -> float | None:
        return next((c for c in reversed(told.confidences) if c is not None), None)


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
        stays = self._stays(arm, split, confidence)
        gained = (agrees if stays else value) - self._spent(split, stays, played.price)
        return Reward(arm, gained, 1.0 / told.propensity)
