"""HIL-F: exponential weights over thresholds, told of every sample whether its early answer was right."""

from __future__ import annotations

import math
from typing import Any

from offramp.errors import ConfigError
from offramp.policies.base import Action, Feedback, FeedbackKind, View
from offramp.policies.checks import checked_confidence, checked_price
from offramp.policies.learner import HORIZON, Learner
from offramp.policies.pieces import Pieces
from offramp.policies.setting import Setting
from offramp.policies.threshold_tree import ThresholdTree

__all__ = ["HilF"]

_BITS = 10
_UNQUANTISED_BITS = 24  # what float32 tells apart in [0.5, 1)


class HilF(Learner):
    """Stop with the weight of the thresholds at or below the confidence.

    A threshold costs 1 where it stops and the early answer was wrong, and the price where it goes on; its weight is
    ``exp(-eta * costs)``. The expected cost exceeds that of the best threshold by at most ``n eta / 8 + L / eta``, with
    the default rate by ``sqrt(n L / 2)``, where L = b ln 2. Confidences are rounded down to b bits, so that memory
    stays what it is and a round takes O(b); ``bits=None`` keeps them, and a piece for each.

    Parameters
    ----------
    price : beta, where a view does not carry its own
    horizon : n, samples expected
    bits : b
    eta : rate, default ``sqrt(8 L / n)``
    seed : of the draws

    Raises
    ------
    ConfigError : a rate that is not above 0

    Source: Moothedath, Champati and Gross 2024, arXiv 2304.00891.

    Examples
    --------
    >>> policy = HilF(price=0.2, horizon=1000)
    >>> for sample in range(1000):
    ...     _ = policy.decide(View(sample, 0, 0.9, label=1))
    ...     policy.learn(Feedback(sample, 0, truth=1))
    >>> policy.accepts(0.9) > 0.99
    True
    """

    name = "hil-f"
    feedback = FeedbackKind.TRUTH

    def __init__(
        self,
        price: float = 0.0,
        horizon: int = HORIZON,
        bits: int | None = _BITS,
        eta: float | None = None,
        seed: int = 0,
    ) -> None:
        if eta is not None and not 0.0 < eta < math.inf:
            raise ConfigError(f"policy 'hil-f': the rate eta must be above 0, not {eta}")
        super().__init__(seed, {"price": price, "horizon": horizon, "bits": bits, "eta": eta})
        self.price = price
        log_experts = (bits or _UNQUANTISED_BITS) * math.log(2.0)
        #: rate of the weights
        self.eta = math.sqrt(8.0 * log_experts / horizon) if eta is None else eta
        #: what the expected cost can exceed that of the best threshold by, over the horizon
        self.regret_bound = horizon * self.eta / 8.0 + log_experts / self.eta
        self._tree = None if bits is None else ThresholdTree(bits)
        self._pieces = Pieces()

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> HilF:
        setting = cls._checked(setting)
        return cls(setting.price, setting.horizon or HORIZON, seed=seed)

    def accepts(self, confidence: float) -> float:
        """Probability to stop at this confidence."""
        tree = self._tree
        if tree is not None:
            return tree.below(int(confidence * tree.size))
        self._pieces.split(confidence)
        return self._pieces.below(confidence)

    def decide(self, view: View) -> Action:
        confidence = checked_confidence(view)
        self._pending.put(view.sample, (confidence, checked_price(view, self.price), view.label))
        return Action.STOP if self._draws.next() < self.accepts(confidence) else Action.GO_ON

    def learn(self, feedback: Feedback) -> None:
        known = self._pending.get(feedback.sample)
        if known is None:
            return
        confidence, price, label = known
        wrong = _early_wrong(feedback, label)
        if wrong is None:
            return
        self._pending.take(feedback.sample)
        tree = self._tree
        if tree is None:
            self._pieces.add(confidence, -self.eta * wrong, -self.eta * price)
        else:
            tree.scale(int(confidence * tree.size), math.exp(self.eta * (price - wrong)))

    def _state(self) -> dict[str, Any]:
        return self._pieces.state() if self._tree is None else {"odds": self._tree.odds}

    def _take(self, state: dict[str, Any]) -> None:
        if self._tree is None:
            self._pieces.take(state)
        else:
            self._tree.take(state["odds"])


def _early_wrong(feedback: Feedback, label: int | None) -> bool | None:
    """Whether the early answer was wrong; ``None`` where nobody knows."""
    if label is None and feedback.labels:
        label = feedback.labels[0]
    if feedback.truth is not None and label is not None:
        return label != feedback.truth
    return not feedback.correct if feedback.exit == 0 and feedback.correct is not None else None
