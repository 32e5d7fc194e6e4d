"""HIL-N: exponential weights over thresholds, told what the last exit says of what goes on."""

from __future__ import annotations

import math
from typing import Any

from offramp.policies.base import Action, Feedback, FeedbackKind, View
from offramp.policies.checks import checked_confidence, checked_price
from offramp.policies.learner import HORIZON, Learner, differs, tuned_exploration
from offramp.policies.setting import Setting
from offramp.policies.threshold_tree import ThresholdTree

__all__ = ["HilN"]

_BITS = 10


class HilN(Learner):
    """HIL-F without feedback on what stops: a share eps goes on whatever the weights say, and only that is learned from.

    What the last exit says is taken for the truth. The costs of explored samples count ``1 / eps`` times, which makes
    them unbiased. The expected cost exceeds that of the best threshold by at most
    ``n beta eps + n eta / (2 eps) + L / eta``, L = b ln 2; with the default eps and eta, where eps is below 1, by
    ``3 (beta n^2 L / 2)^(1/3)``.

    Parameters
    ----------
    price : beta, where a view does not carry its own
    horizon : n, samples expected
    bits : b that confidences are rounded down to
    seed : of the draws

    Source: Moothedath, Champati and Gross 2024, arXiv 2304.00891.

    Examples
    --------
    >>> policy = HilN(price=0.2, horizon=1000)
    >>> for sample in range(1000):
    ...     _ = policy.decide(View(sample, 0, 0.9, label=1))
    ...     policy.learn(Feedback(sample, 1, labels=(1, 1)))
    >>> policy.accepts(0.9) > 0.9
    True
    """  # noqa: E501

    name = "hil-n"
    feedback = FeedbackKind.ANSWERS

    def __init__(self, price: float = 0.0, horizon: int = HORIZON, bits: int = _BITS, seed: int = 0) -> None:
        super().__init__(seed, {"price": price, "horizon": horizon, "bits": bits})
        self.price = price
        self._tree = ThresholdTree(bits)
        log_experts = bits * math.log(2.0)
        #: share explored, and rate of the weights
        self.exploration, self.eta = tuned_exploration(horizon, price, log_experts)
        #: what the expected cost can exceed that of the best threshold by, over the horizon
        self.regret_bound = (
            horizon * price * self.exploration + horizon * self.eta / (2 * self.exploration) + log_experts / self.eta
        )

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> HilN:
        setting = cls._checked(setting)
        return cls(setting.price, setting.horizon or HORIZON, seed=seed)

    def accepts(self, confidence: float) -> float:
        """Probability to stop at this confidence, were nothing explored."""
        return self._tree.below(int(confidence * self._tree.size))

    def decide(self, view: View) -> Action:
        at = int(checked_confidence(view) * self._tree.size)
        price = checked_price(view, self.price)
        accepts = self._draws.next() < self._tree.below(at)
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
        self._tree.scale(at, math.exp(self.eta * (price - wrong) / exploration))

    def _state(self) -> dict[str, Any]:
        return {"odds": self._tree.odds}

    def _take(self, state: dict[str, Any]) -> None:
        self._tree.take(state["odds"])
