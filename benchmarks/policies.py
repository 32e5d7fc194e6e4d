"""What policies cost: decisions a second one at a time and in replay, size of the state, and whether time grows."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from offramp.errors import ConfigError
from offramp.policies.base import Action, Feedback, FeedbackKind, Policy, View
from offramp.policies.fast.replay import replay_many, supports
from offramp.policies.orders import Orders
from offramp.policies.registry import policy_named
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream

__all__ = ["run"]

SIMPLE = ("fixed", "hindsight", "gain", "logistic", "hil-f", "hil-n", "hedge-hi", "hi-lcb-lite", "hi-lcb", "h2t2")
OURS = ("guarded-gain",)
OTHERS = ("hedge-hi-restart", "lyapunov-exp4", "router")
#: replayed over many shuffles together
TOGETHER = (
    "fixed", "gain", "hil-f", "hil-n", "hedge-hi", "hedge-hi-restart", "hi-lcb-lite", "hi-lcb", "h2t2", "lyapunov-exp4",
)  # fmt: skip
#: aimed at, decisions a second
AIM_SIMPLE, AIM_OURS, AIM_THRESHOLDS, AIM_LEARNERS = 2e5, 1e5, 5e7, 2e6
ROWS, SHUFFLES = 10_000, 200
_HOW = "measured: CPU time of one thread"


@dataclass(frozen=True)
class _Case:
    """Samples of two exits, the first right as often as it says."""

    stream: Stream
    setting: Setting

    @classmethod
    def make(cls, rows: int) -> _Case:
        draw = np.random.default_rng(0)
        confidence = np.stack([draw.uniform(0.5, 1.0, rows), np.full(rows, 0.95)]).astype(np.float32)
        right = draw.random((2, rows)) < confidence
        truth = draw.integers(0, 2, rows)
        features = draw.normal(size=(rows, 4)).astype(np.float32)
        predicted = np.where(right, truth, 1 - truth)
        stream = Stream(confidence, predicted, truth, (1 - confidence), features=features)
        known = stream.take(np.arange(1000)).labelled
        return cls(stream, Setting((0.8,), price=0.2, horizon=10**6, budget=None, classes=2, rows=known))

    def start(self, name: str, seed: int = 0) -> Policy:
        kind = policy_named(name)
        try:
            return kind.start(self.setting, seed)
        except ConfigError:  # it wants a budget
            return kind.start(replace(self.setting, budget=0.3), seed)


def run(quick: bool) -> list[dict[str, Any]]:
    """Every policy for one early exit, and replays of many shuffles.

    Parameters
    ----------
    quick : 1 % of the samples
    """
    case = _Case.make(ROWS)
    last = 10_000 if quick else 1_000_000
    rows: list[dict[str, Any]] = []
    for name in (*SIMPLE, *OTHERS, *OURS):
        rows += _live(case, name, 2_000 if quick else 20_000)
    for name in ("hil-f", "hil-n", "hedge-hi", "hi-lcb", "lyapunov-exp4", *OURS):
        rows.append(_growth(case, name, last))
    for name in TOGETHER:
        rows += _replay(case, name, 2 if quick else SHUFFLES, 500 if quick else ROWS)
    return rows


def _live(case: _Case, name: str, samples: int) -> Iterator[dict[str, Any]]:
    """Decisions alone, the view made for each; in the notes with feedback at once."""
    policy = case.start(name)
    _walk(policy, _samples(case, 0, 1000))
    alone = [_decide_s(policy, _samples(case, 1000 + samples * turn, samples // 5)) for turn in range(5)]
    policy = case.start(name)
    both_s = _walk(policy, _samples(case, 0, samples))
    aim = AIM_OURS if name in OURS else AIM_SIMPLE
    rate = samples // 5 / float(np.median(alone))
    yield {
        "name": f"{name}, decisions one at a time",
        "baseline": aim,
        "ours": rate,
        "ratio": rate / aim,
        "unit": "1/s",
        "how": f"{_HOW}, median of 5 blocks, the view made for each",
        "notes": f"{samples / both_s:,.0f} decisions a second with feedback; ratio: ours / what is aimed at",
    }


def _growth(case: _Case, name: str, last: int) -> dict[str, Any]:
    """Time of a decision with its feedback around t = 1,000 and at the end."""
    policy, block = case.start(name), 1000
    times = [_walk(policy, _samples(case, begin, block)) for begin in range(0, last, block)]
    early, late = (1e6 * float(np.median(part)) / block for part in (times[1:6], times[-5:]))
    return {
        "name": f"{name}, a decision at t = {last:,.0f} against t = 1,000",
        "baseline": early,
        "ours": late,
        "ratio": late / early,
        "unit": "us",
        "how": f"{_HOW}, decision and feedback, medians of 5 blocks of {block:,}",
        "notes": f"state {len(policy.to_json()) / 1e3:.1f} kB of JSON after {last:,} samples; ratio: aimed at 1",
    }


def _replay(case: _Case, name: str, shuffles: int, alone: int) -> Iterator[dict[str, Any]]:
    """All shuffles together, against what is aimed at and against ``alone`` samples of the first, one at a time."""
    assert supports(policy_named(name))
    orders = Orders.draw(ROWS, shuffles)
    policies = [case.start(name, seed) for seed in orders.policy_seed.tolist()]
    seconds = []
    for _ in range(5 if name in ("fixed", "gain") else 1):
        begin = time.process_time()
        exits = replay_many(policies, case.stream, orders.order, orders.policy_seed)
        seconds.append(time.process_time() - begin)
    rate = exits.size / max(float(np.median(seconds)), 1e-9)
    aim = AIM_THRESHOLDS if name in ("fixed", "gain") else AIM_LEARNERS
    yield {
        "name": f"{name}, replay over {shuffles} shuffles",
        "baseline": aim,
        "ours": rate,
        "ratio": rate / aim,
        "unit": "1/s",
        "how": f"{_HOW}, {shuffles} shuffles of {ROWS:,} samples together; nothing is compiled",
        "notes": "ratio: ours / what is aimed at",
    }
    begin = time.process_time()
    found = replay(policies[0], case.stream, orders.order[0, :alone])
    reference = alone / max(time.process_time() - begin, 1e-9)
    yield {
        "name": f"{name}, replay over {shuffles} shuffles against one sample at a time",
        "baseline": reference,
        "ours": rate,
        "ratio": rate / reference,
        "unit": "1/s",
        "how": f"{_HOW}, the reference over {alone:,} samples of one shuffle",
        "notes": f"of the exits {100 * float((found.exit == exits[0, :alone]).mean()):.4g} % are the same",
    }


Sample = tuple[int, float, int, float, int, int]


def _samples(case: _Case, begin: int, count: int) -> list[Sample]:
    """Number, confidence, label, second probability, last label, truth."""
    stream = case.stream
    at = np.arange(begin, begin + count) % len(stream)
    assert stream.runner_up is not None
    columns = (stream.confidence[0], stream.predicted[0], stream.runner_up[0], stream.predicted[1], stream.truth)
    return list(zip(range(begin, begin + count), *(column[at].tolist() for column in columns), strict=True))


def _decide_s(policy: Policy, samples: Sequence[Sample]) -> float:
    decide = policy.decide
    begin = time.process_time()
    for sample, confidence, label, runner_up, _, _ in samples:
        decide(View(sample, 0, confidence, 0.0, label, runner_up))
    return time.process_time() - begin


def _walk(policy: Policy, samples: Sequence[Sample]) -> float:
    """Decide, and be told what the policy asks for, at once; a tenth of what stops is audited."""
    decide, learn, kind = policy.decide, policy.learn, policy.feedback
    begin = time.process_time()
    for sample, confidence, label, runner_up, last, truth in samples:
        stops = decide(View(sample, 0, confidence, 0.0, label, runner_up)) is Action.STOP
        if kind is FeedbackKind.NOTHING:
            continue
        audited = stops and kind is FeedbackKind.AUDITS and sample % 10 == 0
        told = label, None if stops and not audited else last
        sure = confidence, None if stops and not audited else 0.95
        known = truth if kind is FeedbackKind.TRUTH else None
        learn(Feedback(sample, 0 if stops else 1, None, None, told, sure, known, 0.1 if audited else 1.0))
    return time.process_time() - begin
