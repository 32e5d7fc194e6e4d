"""HI-LCB: go on where a pessimistic accuracy of the early answer leaves more to gain than it costs."""

from __future__ import annotations

import math
from typing import Any

from offramp.errors import ConfigError
from offramp.policies.base import Action, Feedback, FeedbackKind, View
from offramp.policies.checks import checked_confidence, checked_price
from offramp.policies.learner import Learner, differs
from offramp.policies.setting import Setting

__all__ = ["ALPHA", "BINS", "HILCB", "HILCBLite"]

#: of equal width in confidence
BINS = 20
#: of the widths of the bounds
ALPHA = 0.52


class HILCBLite(Learner):
    """Per bin of confidence: share of agreement with the last exit less ``sqrt(alpha ln t / N)``; on if it is low.

    A sample goes on where ``1 - bound >= price``; one bin in which nothing went on yet has the bound -1. What the last
    exit says is taken for the truth. Nothing is drawn at random.

    Parameters
    ----------
    price : beta, where a view does not carry its own
    bins : of equal width in confidence
    alpha : above 1/2

    Raises
    ------
    ConfigError : no bins, or an alpha of at most 1/2

    Source: Chattopadhyay, Sutar, Champati and Moharir 2025, arXiv 2508.08985, as reconstructed in the method's page.

    Examples
    --------
    >>> policy = HILCBLite(price=0.3)
    >>> for sample in range(200):
    ...     if policy.decide(View(sample, 0, 0.9, label=1)) is Action.GO_ON:
    ...         policy.learn(Feedback(sample, 1, labels=(1, 1)))
    >>> policy.counts[18]  # of 200 samples so many went on before it was sure
    31
    """

    name = "hi-lcb-lite"
    feedback = FeedbackKind.ANSWERS

    def __init__(self, price: float = 0.0, bins: int = BINS, alpha: float = ALPHA, seed: int = 0) -> None:
        if bins < 1 or not alpha > 0.5:
            raise ConfigError(f"policy {self.name!r} needs bins and an alpha above 1/2, not {bins} and {alpha}")
        super().__init__(seed, {"price": price, "bins": bins, "alpha": alpha})
        self.price, self.bins, self.alpha = price, bins, alpha
        #: samples seen
        self.round = 0
        #: answers of the last exit, and those that agree, by bin
        self.counts, self.agreed = [0] * bins, [0] * bins
        self._mean, self._width = [-1.0] * bins, [0.0] * bins  # a bin without counts has the bound -1

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> HILCBLite:
        return cls(cls._checked(setting).price, seed=seed)

    def bound(self, at: int) -> float:
        """Pessimistic accuracy of the early answer in the bin ``at``."""
        return self._mean[at] - math.sqrt(self.alpha * math.log(max(1, self.round))) * self._width[at]

    def decide(self, view: View) -> Action:
        confidence = checked_confidence(view)
        price = checked_price(view, self.price)
        at = min(int(confidence * self.bins), self.bins - 1)
        self.round += 1
        if 1.0 - self.bound(at) < price:
            return Action.STOP
        self._pending.put(view.sample, (at, view.label))
        return Action.GO_ON

    def learn(self, feedback: Feedback) -> None:
        known = self._pending.get(feedback.sample)
        if known is None:
            return
        at, label = known
        wrong = differs(feedback, label)
        if wrong is None:
            return
        self._pending.take(feedback.sample)
        self._count(at, self.counts[at] + 1, self.agreed[at] + (not wrong))

    def _count(self, at: int, count: int, agreed: int) -> None:
        self.counts[at], self.agreed[at] = count, agreed
        if count:
            self._mean[at], self._width[at] = agreed / count, 1.0 / math.sqrt(count)

    def _state(self) -> dict[str, Any]:
        return {"round": self.round, "counts": self.counts, "agreed": self.agreed}

    def _take(self, state: dict[str, Any]) -> None:
        counts, agreed = state["counts"], state["agreed"]
        if len(counts) != self.bins or not all(0 <= a <= c for a, c in zip(agreed, counts, strict=True)):
            raise ValueError("its counts do not fit its bins")
        self.round = int(state["round"])
        for at in range(self.bins):
            self._count(at, int(counts[at]), int(agreed[at]))


class HILCB(HILCBLite):
    """HI-LCB-lite that knows that accuracy does not fall as confidence rises: a bin takes the best bound up to it.

    Examples
    --------
    >>> policy = HILCB(price=0.3)
    >>> policy._count(10, 1000, 900)
    >>> policy.round = 1000
    >>> round(policy.bound(18), 3)  # nothing went on there, but much at lower confidence
    0.84
    """

    name = "hi-lcb"

    def bound(self, at: int) -> float:
        """The best bound of the bins up to ``at``."""
        scale = math.sqrt(self.alpha * math.log(max(1, self.round)))
        best = -1.0
        for mean, width in zip(self._mean[: at + 1], self._width, strict=False):
            low = mean - scale * width
            if low > best:
                best = low
        return best
