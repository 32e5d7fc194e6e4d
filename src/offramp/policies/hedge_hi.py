"""Hedge-HI: one expert between any two confidences seen."""

from __future__ import annotations

import math
from typing import Any

from offramp.policies.base import Action, Feedback, FeedbackKind, View
from offramp.policies.checks import checked_confidence, checked_price
from offramp.policies.learner import HORIZON, Learner, differs, tuned_exploration
from offramp.policies.pieces import Pieces
from offramp.policies.setting import Setting

__all__ = ["HedgeHI"]

_BITS = 10


class HedgeHI(Learner):
    """Hedge over the intervals between the distinct confidences seen, learning from an explored share.

    A confidence not seen before splits an interval, and both halves inherit its weight, so an expert weighs the same
    however short its interval is: what the regret depends on is the number of distinct confidences,
    ``O(T^(2/3) N^(1/3))``, not the smallest gap between two. They are rounded to b bits, which bounds their number.
    What the last exit says is taken for the truth.

    Parameters
    ----------
    price : beta, where a view does not carry its own
    horizon : T, samples expected
    bits : b
    seed : of the draws

    Source: Al-Atat, Datta, Moharir and Champati 2024; exploration and rate are those of HIL-N with L = b ln 2.

    Examples
    --------
    >>> policy = HedgeHI(price=0.2, horizon=1000)
    >>> for sample in range(1000):
    ...     _ = policy.decide(View(sample, 0, 0.9, label=1))
    ...     policy.learn(Feedback(sample, 1, labels=(1, 1)))
    >>> policy.experts, policy.accepts(0.9) > 0.9
    (2, True)
    """

    name = "hedge-hi"
    feedback = FeedbackKind.ANSWERS

    def __init__(self, price: float = 0.0, horizon: int = HORIZON, bits: int = _BITS, seed: int = 0) -> None:
        super().__init__(seed, {"price": price, "horizon": horizon, "bits": bits})
        self.price = price
        self._pieces = Pieces(by_length=False)
        self._levels = 1 << bits
        #: share explored, and rate of the weights
        self.exploration, self.eta = tuned_exploration(horizon, price, bits * math.log(2.0))

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> HedgeHI:
        setting = cls._checked(setting)
        return cls(setting.price, setting.horizon or HORIZON, seed=seed)

    @property
    def experts(self) -> int:
        """Intervals between the confidences seen."""
        return len(self._pieces)

    def accepts(self, confidence: float) -> float:
        """Probability to stop at this confidence, were nothing explored."""
        return self._pieces.below(self._rounded(confidence))

    def _rounded(self, confidence: float) -> float:
        return int(confidence * self._levels) / self._levels

    def _meets(self, confidence: float) -> None:
        self._pieces.split(confidence)

    def decide(self, view: View) -> Action:
        confidence = self._rounded(checked_confidence(view))
        price = checked_price(view, self.price)
        self._meets(confidence)
        accepts = self._draws.next() < self._pieces.below(confidence)
        if self._draws.next() < self.exploration:
            self._pending.put(view.sample, (confidence, price, self.exploration, view.label))
            return Action.GO_ON
        return Action.STOP if accepts else Action.GO_ON

    def learn(self, feedback: Feedback) -> None:
        known = self._pending.get(feedback.sample)
        if known is None:
            return
        confidence, price, exploration, label = known
        wrong = differs(feedback, label)
        if wrong is None:
            return
        self._pending.take(feedback.sample)
        rate = self.eta / exploration
        self._pieces.add(confidence, -rate * wrong, -rate * price)

    def _state(self) -> dict[str, Any]:
        return self._pieces.state()

    def _take(self, state: dict[str, Any]) -> None:
        self._pieces.take(state)
