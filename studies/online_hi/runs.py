"""Every policy over every shuffle and price."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from offramp.policies.base import FeedbackKind, Policy
from offramp.policies.fast.replay import answer_many, supports
from offramp.policies.guarded_gain import GuardedGain
from offramp.policies.h2t2 import H2T2
from offramp.policies.hedge_hi import HedgeHI
from offramp.policies.hedge_hi_restart import HedgeHIRestart
from offramp.policies.hi_lcb import HILCB, HILCBLite
from offramp.policies.hil_f import HilF
from offramp.policies.hil_n import HilN
from offramp.policies.lyapunov_exp4 import LyapunovExp4
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream
from studies.online_hi.quick import quick_replay
from studies.online_hi.references import plan_thresholds, reference_costs
from studies.online_hi.streams import Problem

__all__ = ["AUDITS", "KINDS", "LABELLED", "LABELS", "OURS", "PRICES", "Costs", "Shuffles", "run_problem"]

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]
PRICES = (0.05, 0.1, 0.2, 0.3, 0.5)
OURS = GuardedGain.name
#: of what the last exit answered, whose truth is told to ours in a row of its own
LABELS = 0.02
LABELLED = f"{OURS}, {100 * LABELS:g} % labelled"
#: what audits may cost, in mistakes per sample; the share audited is this over the price
AUDITS = 0.0005
KINDS: tuple[type[Policy], ...] = (
    HilF, HilN, HedgeHI, HedgeHIRestart, HILCB, HILCBLite, H2T2, LyapunovExp4, GuardedGain,
)  # fmt: skip


class Shuffles(NamedTuple):
    """Over how many shuffles the policies that are replayed together, and ours, run."""

    together: int = 20
    ours: int = 20


class Decisions(NamedTuple):
    """(prices, shuffles, rows) what was done with each sample: sent on, audited, and answered where it stopped."""

    on: NDArray[np.bool_]
    audited: NDArray[np.bool_]
    said: NDArray[np.int16] | None = None

    def cost(self, stream: Stream, order: Rows) -> Floats:
        """(prices, shuffles, rows) in mistakes, by the truth of this stream."""
        here = order[: self.on.shape[1]]
        early = stream.predicted[0][here] if self.said is None else self.said
        wrong = np.where(self.on, ~stream.right[1][here], early != stream.truth[here])
        return np.asarray(wrong + np.array(PRICES)[:, None, None] * (self.on | self.audited), np.float64)


@dataclass(frozen=True)
class Costs:
    """What each rule costs on one problem.

    Parameters
    ----------
    name : of the problem
    rows : of a shuffle
    means : by rule, (prices, shuffles) per sample
    went : by policy, (prices,) share of samples that went on
    """

    name: str
    rows: int
    means: dict[str, Floats]
    went: dict[str, Floats]

    def mean(self, rule: str) -> Floats:
        """(prices,) over the shuffles."""
        return np.asarray(self.means[rule].mean(1))


def run_problem(
    problem: Problem,
    settings: Sequence[bool] = (True, False),
    kinds: Sequence[type[Policy]] = KINDS,
    shuffles: Shuffles | None = None,
    labels: bool = False,
) -> list[Costs]:
    """Every rule on one problem, once for each setting.

    Policies that hear the answers of the last exit alone decide alike in both settings; they are replayed once.

    Parameters
    ----------
    settings : whether what the last exit says is told, and charged, as the truth
    kinds : of policies; those for two classes are left out elsewhere
    shuffles : of each
    labels : replay ours with labelled audits besides
    """
    counts = shuffles or Shuffles()
    order = problem.orders(counts.together)
    plans = plan_thresholds(problem, PRICES)
    known: dict[str, Decisions] = {}
    found = []
    for published in settings:
        shown = problem.published() if published else problem
        costs, budgets = reference_costs(shown, PRICES, plans, order)
        went = {}
        for kind in kinds:
            if kind is H2T2 and problem.classes != 2:
                continue
            made = [_setting(shown, kind, *each, order.shape[1]) for each in zip(PRICES, plans, budgets, strict=True)]
            for name, share in {kind.name: 0.0, LABELLED: LABELS}.items():
                if share and not (labels and kind is GuardedGain):
                    continue
                if name not in known or kind.feedback is not FeedbackKind.ANSWERS:
                    known[name] = _decisions(shown.pool, kind, made, order, counts, share)
                costs[name] = known[name].cost(shown.pool, order)
                went[name] = np.asarray(known[name].on.mean((1, 2)))
        means = {name: each.mean(-1) for name, each in costs.items()}
        found.append(Costs(problem.name, order.shape[1], means, went))
    return found


def _setting(problem: Problem, kind: type[Policy], price: float, plan: float, budget: float, rows: int) -> Setting:
    return Setting(
        (min(max(plan, 0.0), 1.0),),
        price=price,
        horizon=rows,
        budget=budget if kind is LyapunovExp4 else None,
        classes=problem.classes,
        rows=problem.tune.labelled,
    )


def _decisions(
    pool: Stream, kind: type[Policy], settings: list[Setting], order: Rows, counts: Shuffles, labels: float = 0.0
) -> Decisions:
    if supports(kind):
        seeds = np.tile(np.arange(len(order)), len(settings))
        policies = [kind.start(setting, seed) for setting in settings for seed in range(len(order))]
        exits, answers = answer_many(policies, pool, np.tile(order, (len(settings), 1)), seeds)
        on = exits.reshape(len(settings), *order.shape) > 0
        answered = None if answers is None else answers.astype(np.int16).reshape(on.shape)
        return Decisions(on, np.zeros((1, 1, 1), bool), answered)
    order = order[: counts.ours]
    shape = (len(settings), *order.shape)
    on, audited, said = np.empty(shape, bool), np.empty(shape, bool), np.empty(shape, np.int16)
    for index, setting in enumerate(settings):
        share = AUDITS / setting.price if kind.feedback is FeedbackKind.AUDITS else 0.0
        for number, rows in enumerate(order):
            each = quick_replay(kind.start(setting, number), pool.take(rows), share, number, labels)
            on[index, number], audited[index, number], said[index, number] = each
    return Decisions(on, audited, said)
