"""H2T2: two thresholds for two classes whose mistakes cost differently."""

from __future__ import annotations

import math
from bisect import bisect_right
from itertools import accumulate
from typing import Any

import numpy as np

from offramp.errors import ConfigError
from offramp.policies.base import Action, Feedback, FeedbackKind, View
from offramp.policies.checks import checked_confidence, checked_price
from offramp.policies.learner import HORIZON, Learner, tuned_exploration
from offramp.policies.setting import Setting

__all__ = ["H2T2", "two_thresholds"]

_STEPS = 20


def two_thresholds(price: float, false_positive: float = 1.0, false_negative: float = 1.0) -> tuple[float, float]:
    """(lower, upper) of least cost where the score is the probability of class 1: 0 below, 1 from the upper, else on.

    Where going on costs more than it can save both are the score from which on 1 is the better answer.

    Examples
    --------
    >>> two_thresholds(0.2), two_thresholds(0.6)
    ((0.2, 0.8), (0.5, 0.5))
    """
    low, high = price / false_negative, 1.0 - price / false_positive
    if low < high:
        return low, high
    even = false_positive / (false_positive + false_negative)
    return even, even


class H2T2(Learner):
    """Hedge over pairs of thresholds on the probability of class 1, learning from an explored share.

    A pair answers 0 below its lower threshold, 1 from its upper one, and goes on in between; `answer` is what the pair
    drawn says, which need not be what the exit says. What the last exit says is taken for the truth. With a share eps
    explored, rate eta and G pairs the expected cost exceeds that of the best pair by at most
    ``(eps beta + eta d^2 / (2 eps)) n + ln G / eta``, d the dearer mistake.

    Parameters
    ----------
    price : beta, where a view does not carry its own
    false_positive, false_negative : cost of answering 1 where it is 0, and 0 where it is 1, above 0
    steps : thresholds are multiples of 1 / steps
    horizon : n, samples expected
    seed : of the draws

    Raises
    ------
    ConfigError : a mistake that costs nothing; a label that is neither 0 nor 1, or none

    Source: arXiv 2509.15674; tuned as HIL-N with L = ln G.

    Examples
    --------
    >>> policy = H2T2(price=0.2, horizon=2000)
    >>> for sample in range(2000):
    ...     view = View(sample, 0, 0.95, label=sample % 2)
    ...     _ = policy.decide(view), policy.answer(view)
    ...     policy.learn(Feedback(sample, 1, labels=(sample % 2, sample % 2)))
    >>> policy.decides(0.97)[0] < 0.05  # hardly ever says 0 there
    True
    """

    name = "h2t2"
    feedback = FeedbackKind.ANSWERS

    def __init__(
        self,
        price: float = 0.0,
        false_positive: float = 1.0,
        false_negative: float = 1.0,
        steps: int = _STEPS,
        horizon: int = HORIZON,
        seed: int = 0,
    ) -> None:
        costs = {"false_positive": false_positive, "false_negative": false_negative}
        if not all(0.0 < cost < math.inf for cost in costs.values()):
            raise ConfigError(f"policy 'h2t2': mistakes must cost more than 0, not {false_positive}, {false_negative}")
        super().__init__(seed, {"price": price, **costs, "steps": steps, "horizon": horizon})
        self.price, self.false_positive, self.false_negative = price, false_positive, false_negative
        low, high = np.triu_indices(steps + 1)
        self._low, self._high = low / steps, high / steps
        self._lows, self._highs = self._low.tolist(), self._high.tolist()
        self._log_weights = np.zeros(len(low))
        self.exploration, self.eta = tuned_exploration(horizon, price, math.log(len(low)))
        self.eta /= max(false_positive, false_negative)
        self._said: tuple[int, int] = (-1, 0)  # sample stopped last, and its answer
        self._sum()

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> H2T2:
        setting = cls._checked(setting)
        if setting.classes != 2:
            raise ConfigError(f"policy 'h2t2' is for 2 classes; the setting has {setting.classes}")
        wrong_one, wrong_zero = setting.mistake_costs
        return cls(setting.price, wrong_one, wrong_zero, horizon=setting.horizon or HORIZON, seed=seed)

    def decides(self, score: float) -> tuple[float, float, float]:
        """Weight of the pairs that answer 0, that go on, and that answer 1 at this probability of class 1."""
        weights = np.exp(self._log_weights)
        zero, one = self._sides(score)
        parts = np.array([weights[zero].sum(), weights[~zero & ~one].sum(), weights[one].sum()]) / weights.sum()
        return float(parts[0]), float(parts[1]), float(parts[2])

    def decide(self, view: View) -> Action:
        score = _score(view)
        price = checked_price(view, self.price)
        drawn = bisect_right(self._summed, self._draws.next())
        if self._draws.next() < self.exploration:
            self._pending.put(view.sample, (score, price, self.exploration))
            return Action.GO_ON
        if score < self._lows[drawn]:
            self._said = (view.sample, 0)
        elif score >= self._highs[drawn]:
            self._said = (view.sample, 1)
        else:
            return Action.GO_ON
        return Action.STOP

    def answer(self, view: View) -> int | None:
        """What the pair drawn for this sample says, if it was the last one stopped."""
        sample, said = self._said
        return said if sample == view.sample else view.label

    def learn(self, feedback: Feedback) -> None:
        known = self._pending.get(feedback.sample)
        if known is None or not feedback.labels or feedback.labels[-1] is None:
            return
        self._pending.take(feedback.sample)
        score, price, exploration = known
        zero, one = self._sides(score)
        costs = np.full(len(self._log_weights), price)
        costs[zero] = self.false_negative if feedback.labels[-1] == 1 else 0.0
        costs[one] = self.false_positive if feedback.labels[-1] == 0 else 0.0
        self._log_weights -= self.eta / exploration * costs
        self._log_weights -= self._log_weights.max()
        self._sum()

    def _sides(self, score: float) -> tuple[Any, Any]:
        zero = score < self._low
        return zero, ~zero & (score >= self._high)

    def _sum(self) -> None:
        weights = np.exp(self._log_weights)
        self._summed = list(accumulate((weights / weights.sum()).tolist()))
        self._summed[-1] = 1.0

    def _state(self) -> dict[str, Any]:
        return {"log_weights": self._log_weights.tolist(), "said": self._said}

    def _take(self, state: dict[str, Any]) -> None:
        weights = np.array(state["log_weights"], float)
        if weights.shape != self._log_weights.shape or not np.isfinite(weights).all():
            raise ValueError("its weights do not fit its pairs")
        self._log_weights = weights
        sample, said = state["said"]
        self._said = (int(sample), int(said))
        self._sum()


def _score(view: View) -> float:
    """Probability of class 1."""
    confidence = checked_confidence(view)
    if view.label == 1:
        return confidence
    if view.label == 0:
        return 1.0 - confidence
    raise ConfigError(f"sample {view.sample}: policy 'h2t2' is for the classes 0 and 1, the exit says {view.label}")
