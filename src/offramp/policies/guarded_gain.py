"""Decide on the gain, corrected while running, and never cost much more than a baseline."""

from __future__ import annotations

import math
from typing import Any, Self

import numpy as np

from offramp.errors import ConfigError
from offramp.policies.base import Action, Feedback, FeedbackKind, View
from offramp.policies.checks import checked_confidence, checked_price
from offramp.policies.drift_watch import DriftWatch
from offramp.policies.dual_price import DualPrice
from offramp.policies.learner import HORIZON, Learner, differs
from offramp.policies.margin_account import DELTA, MARGIN, SLACK, MarginAccount
from offramp.policies.setting import LabelledRows, Setting
from offramp.policies.warm_gain import WarmGain

__all__ = ["GuardedGain"]

_PROBES = 0.05
_NEVER, _ALWAYS = 0.0, math.inf


class GuardedGain(Learner):
    """Goes on where P(last right) - P(first right) is above the price, while its baseline is not cost too dear.

    - The gain is that of `WarmGain`, fitted on the setting's labelled rows: a few hundred.
    - The price is the view's, or the setting's; with a budget it is a `DualPrice` that keeps it (times the view's
      price, where it has one).
    - `DriftWatch` corrects the gain from samples that both exits answered: those that went on, and audited ones with
      their propensities. Errors of the last exit are part of it; no label is asked for. After a change it falls back to
      the warm model and learns anew. Labels of a drawn share of these samples, where they are told
      (``label_propensity``), say after a change which exit broke, and value anew what the account holds since.
    - The baseline is the cheapest on the labelled rows of three thresholds: never, always, and the plan's. Where the
      gain says otherwise the policy deviates only while a `MarginAccount` allows it, whose proposition holds here:
      with probability ``1 - delta`` it has at no time t cost more than its baseline by more than
      ``margin * t + slack`` mistakes, as far as the gain of a sample that both exits answered is estimated rightly.

    Memory: three bounds, four sums per bin, and the samples that wait. A decision takes constant time.

    Parameters
    ----------
    warm : the fitted model
    classes : K
    baseline : confidence from which on the baseline stops; infinite is never
    price : of going on, where a view does not carry its own
    budget : of going on per sample, or ``None``; then the price is only where the dual variable begins
    horizon : samples expected
    margin, slack, delta : see `MarginAccount`
    seed : of the draws

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> p1, truth = rng.uniform(0.5, 1, 1000), rng.integers(0, 2, 1000)
    >>> first = np.where(rng.random(1000) < p1, truth, 1 - truth)
    >>> rows = LabelledRows(np.stack([p1, 0.9 + 0 * p1]), np.stack([first, truth]), truth, np.stack([1 - p1, 0 * p1]))
    >>> policy = GuardedGain.start(Setting((0.9,), price=0.2, rows=rows))
    >>> policy.baseline, policy.decide(View(0, 0, 0.99, label=1, runner_up=0.01))
    (0.9, <Action.STOP: 'stop'>)
    >>> policy.decide(View(1, 0, 0.6, label=1, runner_up=0.4))
    <Action.GO_ON: 'go_on'>
    """

    name = "guarded-gain"
    feedback = FeedbackKind.AUDITS

    def __init__(
        self,
        warm: WarmGain,
        classes: int,
        baseline: float,
        price: float = 0.0,
        budget: float | None = None,
        horizon: int = HORIZON,
        margin: float = MARGIN,
        slack: float = SLACK,
        delta: float = DELTA,
        seed: int = 0,
    ) -> None:
        settings = {
            "warm": warm.plain(), "classes": classes, "baseline": None if baseline == _ALWAYS else baseline,
            "price": price, "budget": budget, "horizon": horizon, "margin": margin, "slack": slack, "delta": delta,
        }  # fmt: skip
        super().__init__(seed, settings)
        self.warm, self.baseline, self.price = warm, baseline, price
        #: what it may have cost, and what has changed
        self.account = MarginAccount(margin, slack, delta)
        self.watch = DriftWatch(warm, classes)
        #: of the budget; ``None`` without one
        self.dual = None if budget is None else DualPrice(budget, price, horizon)

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> GuardedGain:
        rows = cls._checked(setting).rows
        if rows is None:
            raise ConfigError(f"policy {cls.name!r} begins from labelled rows, but the setting has none")
        warm = WarmGain.fit(rows, setting.classes)
        price, horizon = setting.price, setting.horizon or HORIZON
        if setting.budget is not None:
            price = _price_of_budget(warm, rows, setting.budget)
        baseline = _cheapest(rows, setting.thresholds[0], price)
        return cls(warm, setting.classes, baseline, price, setting.budget, horizon, seed=seed)

    def gain(self, view: View) -> float:
        """Estimated P(last right) - P(first right) of a sample."""
        warm = self.warm
        return warm.gain(view.confidence, view.runner_up, view.label) + self.watch.correction(
            warm.bin_of(view.confidence)
        )

    def decide(self, view: View) -> Action:
        confidence = checked_confidence(view)
        dual, account, warm = self.dual, self.account, self.warm
        if dual is None:
            price, used = checked_price(view, self.price), 0.0
        else:
            used = checked_price(view, 1.0)
            price = min(dual.value * used, 1.0 - 1e-9)
        at, modelled = warm.bin_of(confidence), warm.gain(confidence, view.runner_up, view.label)
        goes = modelled + self.watch.correction(at) > price
        account.tick()
        deviation, share = 0, 1.0
        if goes is not (confidence < self.baseline):
            if goes:
                goes = account.may_go(price)
                deviation = int(goes)
            else:
                goes, share = self._explores(price)
                deviation = -int(share < 1.0 and goes)
        elif not goes and self.watch.drifted and modelled > price and account.may_go(price):
            goes, share = self._draws.next() < _PROBES, _PROBES  # has it changed back?
            deviation = int(goes)
        if deviation > 0:
            account.went(price)
        if dual is not None:
            dual.used(used if goes else 0.0)
        self._pending.put(view.sample, (at, modelled, price, share, deviation, view.label))
        return Action.GO_ON if goes else Action.STOP

    def _explores(self, price: float) -> tuple[bool, float]:
        """Whether to follow a baseline that goes on, and with which probability that was decided."""
        share = self.account.explore(price)
        if not share:
            return True, 1.0
        explores = self._draws.next() < share
        self.account.tossed(price, share, explores)
        return explores, share

    def learn(self, feedback: Feedback) -> None:
        known = self._pending.get(feedback.sample)
        if known is None:
            return
        at, modelled, price, share, deviation, label = known
        differ = differs(feedback, label)
        if differ is None:
            return
        self._pending.take(feedback.sample)
        watch, account = self.watch, self.account
        gain = expected = self._gained(feedback, label, differ)
        drawn = feedback.label_propensity > 0.0
        if drawn:  # of the few whose truth is told it says which exit is to blame; all others go by what is expected
            expected = self._expected(feedback, differ)
        estimated = differ and drawn and feedback.truth is None
        if deviation > 0:
            account.seen_going(price, gain, estimated)
        elif deviation < 0:
            account.seen_exploring(price, share, gain, estimated)
        changes = watch.changes
        if feedback.exit:
            watch.see(at, differ, expected, modelled, share)
        elif share == 1.0:  # for the others stand those that the coin sent on
            watch.see(at, differ, expected, modelled, feedback.propensity)
        if not drawn:
            return
        if watch.changes != changes:
            account.settle()
        if differ and feedback.truth is not None:
            watch.told(gain, expected)
            account.correct(watch.shift)

    def _gained(self, feedback: Feedback, label: int | None, differ: bool) -> float:
        """What going on would gain: exactly where the truth is told, expected otherwise."""
        if feedback.truth is not None:
            first = feedback.labels[0] if label is None else label
            return float(feedback.labels[-1] == feedback.truth) - float(first == feedback.truth)
        return self._expected(feedback, differ)

    def _expected(self, feedback: Feedback, differ: bool) -> float:
        return self.warm.estimate(differ, feedback.confidences[-1] if feedback.confidences else None)

    @classmethod
    def _made(cls, settings: dict[str, Any]) -> Self:
        baseline = settings["baseline"]
        rest = {"warm": WarmGain.from_plain(settings["warm"]), "baseline": _ALWAYS if baseline is None else baseline}
        return cls(**settings | rest)

    def _state(self) -> dict[str, Any]:
        dual = None if self.dual is None else self.dual.value
        return {"account": self.account.state(), "watch": self.watch.state(), "dual": dual}

    def _take(self, state: dict[str, Any]) -> None:
        self.account.take(state["account"])
        self.watch.take(state["watch"])
        if self.dual is not None:
            self.dual.value = float(state["dual"])

    def __repr__(self) -> str:
        return f"GuardedGain(baseline={self.baseline!r}, price={self.price!r}, margin={self.account.margin!r})"


def _cheapest(rows: LabelledRows, planned: float | None, price: float) -> float:
    """Threshold of the cheapest of never going on, always, and the plan's gate."""
    wrong = ~rows.right
    first = rows.confidence[0]
    plan = _ALWAYS if planned is None else planned
    costs = {at: float(np.where(first < at, price + wrong[-1], wrong[0]).mean()) for at in (plan, _NEVER, _ALWAYS)}
    return min(costs, key=lambda at: costs[at])


def _price_of_budget(warm: WarmGain, rows: LabelledRows, budget: float) -> float:
    """Price at which so large a share of the labelled rows goes on."""
    second = rows.runner_up[0] if rows.runner_up.size else np.zeros_like(rows.confidence[0])
    each = zip(rows.confidence[0].tolist(), second.tolist(), rows.predicted[0].tolist(), strict=True)
    gains = np.array([warm.gain(*row) for row in each])
    return float(np.clip(np.quantile(gains, 1.0 - min(1.0, budget)), 0.0, 0.99))
