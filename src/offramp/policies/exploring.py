"""Weights over thresholds that are learned from an explored share: what HIL-N and Hedge-HI have in common."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import ClassVar, Self

from offramp.policies.base import Action, Feedback, FeedbackKind, View
from offramp.policies.checks import checked_confidence, checked_price
from offramp.policies.learner import HORIZON, Learner, differs, tuned_exploration
from offramp.policies.setting import Setting

__all__ = ["BITS", "Exploring"]

#: that confidences are rounded down to
BITS = 10


class Exploring(Learner):
    """Stops with the weight of the thresholds at or below the confidence; a share goes on whatever the weights say.

    Only what was explored is learned from, and counts ``1 / exploration`` times, which makes costs unbiased. What the
    last exit says is taken for the truth. Subclasses hold the weights: in a tree, or in pieces.

    Parameters
    ----------
    price : beta, where a view does not carry its own
    horizon : n, samples expected
    bits : b that confidences are rounded down to
    seed : of the draws
    """

    feedback: ClassVar[FeedbackKind] = FeedbackKind.ANSWERS

    def __init__(self, price: float = 0.0, horizon: int = HORIZON, bits: int = BITS, seed: int = 0) -> None:
        super().__init__(seed, {"price": price, "horizon": horizon, "bits": bits})
        self.price = price
        self._levels = 1 << bits
        #: share explored, and rate of the weights
        self.exploration, self.eta = tuned_exploration(horizon, price, bits * math.log(2.0))

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> Self:
        setting = cls._checked(setting)
        return cls(setting.price, setting.horizon or HORIZON, seed=seed)

    @abstractmethod
    def _below(self, at: int) -> float:
        """Weight of the thresholds that stop a confidence of ``at`` levels."""

    @abstractmethod
    def _charge(self, at: int, wrong: bool, price: float, rate: float) -> None:
        """Charge the thresholds what they cost at ``at`` levels, a mistake or the price, at this rate."""

    def _meets(self, at: int) -> None:
        """A confidence of ``at`` levels comes; before its weights are asked for."""

    def accepts(self, confidence: float) -> float:
        """Probability to stop at this confidence, were nothing explored."""
        return self._below(int(confidence * self._levels))

    def decide(self, view: View) -> Action:
        at = int(checked_confidence(view) * self._levels)
        price = checked_price(view, self.price)
        self._meets(at)
        accepts = self._draws.next() < self._below(at)
        if self._draws.next() < self.exploration:
            self._pending.put(view.sample, (at, price, self.exploration, view.label))
            return Action.GO_ON
        return Action.STOP if accepts else Action.GO_ON

    def learn(self, feedback: Feedback) -> None:
        known = self._pending.get(feedback.sample)
        if known is None:
            return
        at, price, exploration, label = known
        wrong = differs(feedback, label)
        if wrong is None:
            return
        self._pending.take(feedback.sample)
        self._charge(at, wrong, price, self.eta / exploration)
