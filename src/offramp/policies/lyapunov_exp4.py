"""Lyapunov-EXP4: keep a mean budget of going on, at a price that a virtual queue sets."""

from __future__ import annotations

import math
from typing import Any

from offramp.errors import ConfigError
from offramp.policies.base import Action, Feedback, FeedbackKind, View
from offramp.policies.checks import checked_confidence, checked_price
from offramp.policies.learner import HORIZON, Learner, differs
from offramp.policies.setting import Setting
from offramp.policies.threshold_tree import ThresholdTree

__all__ = ["LyapunovExp4"]

_BITS = 8


class LyapunovExp4(Learner):
    """Thresholds as experts; going on costs what the queue of overspending says, in the place of a guessed price.

    A sample uses ``s`` of the budget if it goes on: its price, or 1 where views carry none (then the budget is a share
    of the samples). The queue is ``Z <- max(0, Z + s - budget)``, or without ``s`` where the sample stops, and
    ``Z / V`` is the shadow price of one mistake. A large V waits long until it spends less; the mean overspent is at
    most ``Z / n``. What the last exit says is taken for the truth; it counts by one over the probability of going on.

    Parameters
    ----------
    budget : of going on per sample
    horizon : n, samples expected
    bits : b of the thresholds
    exploration : g; a share of at least g / 2 goes on while the budget lasts, default ``(L / n)^(1/3)``, at most the
        budget, L = b ln 2
    weight : V, default ``sqrt(n)``
    seed : of the draws

    Raises
    ------
    ConfigError : no budget

    Source: Beytur, Aydin, de Veciana and Vikalo 2024, as reconstructed in the method's page; divided by V throughout.

    Examples
    --------
    >>> policy = LyapunovExp4(budget=0.25, horizon=2000)
    >>> went = sum(policy.decide(View(i, 0, 0.5)) is Action.GO_ON for i in range(2000))
    >>> went <= 0.25 * 2000 + policy.queue
    True
    """

    name = "lyapunov-exp4"
    feedback = FeedbackKind.ANSWERS

    def __init__(
        self,
        budget: float,
        horizon: int = HORIZON,
        bits: int = _BITS,
        exploration: float | None = None,
        weight: float | None = None,
        seed: int = 0,
    ) -> None:
        settings = {"budget": budget, "horizon": horizon, "bits": bits, "exploration": exploration, "weight": weight}
        super().__init__(seed, settings)
        log_experts = bits * math.log(2.0)
        self.budget = budget
        default = min(1.0, budget, (log_experts / horizon) ** (1.0 / 3.0))
        self.exploration = default if exploration is None else exploration
        self.weight = math.sqrt(horizon) if weight is None else weight
        self.eta = math.sqrt(log_experts / horizon)
        #: overspent so far, never below 0
        self.queue = 0.0
        self._tree = ThresholdTree(bits)

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> LyapunovExp4:
        setting = cls._checked(setting)
        if setting.budget is None:
            raise ConfigError(f"policy {cls.name!r} keeps a budget of going on; the setting has none")
        return cls(setting.budget, setting.horizon or HORIZON, seed=seed)

    @property
    def shadow_price(self) -> float:
        """Of going on, per unit of the budget, in units of one mistake."""
        return self.queue / self.weight

    def decide(self, view: View) -> Action:
        tree = self._tree
        at = int(checked_confidence(view) * tree.size)
        used = 1.0 if view.price is None else checked_price(view, 0.0)
        chance = (1.0 - self.exploration) * (1.0 - tree.below(at)) + self.exploration / 2.0
        price = self.queue / self.weight * used
        on = self._draws.next() < chance
        tree.scale(at, math.exp(min(self.eta * price, 50.0)))
        self.queue = max(0.0, self.queue + (used if on else 0.0) - self.budget)
        if not on:
            return Action.STOP
        self._pending.put(view.sample, (at, chance, view.label))
        return Action.GO_ON

    def learn(self, feedback: Feedback) -> None:
        known = self._pending.get(feedback.sample)
        if known is None:
            return
        at, chance, label = known
        wrong = differs(feedback, label)
        if wrong is None:
            return
        self._pending.take(feedback.sample)
        if wrong:
            self._tree.scale(at, math.exp(-min(self.eta / chance, 50.0)))

    def _state(self) -> dict[str, Any]:
        return {"odds": self._tree.odds, "queue": self.queue}

    def _take(self, state: dict[str, Any]) -> None:
        self._tree.take(state["odds"])
        queue = float(state["queue"])
        if not 0.0 <= queue < math.inf:
            raise ValueError(f"its queue is {queue}")
        self.queue = queue
