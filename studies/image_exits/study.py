"""Bandit exits and experts under blur and noise: cost cut and accuracy lost, level by level."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from offramp.errors import RecordMismatch
from studies.image_exits.evidence import NETWORK_COST, OFFLOAD_COST, ImageCase, load_image_cases
from studies.image_exits.rules import (
    ALPHA,
    AUDIT_SHARE,
    LEARNERS,
    TARGET,
    Outcome,
    run_experts,
    run_learner,
    run_single,
    threshold_rewards,
)
from studies.row import StudyRow
from studies.shift.evidence import EXAMPLES

__all__ = ["study"]

SHUFFLES = 3
CUT, LOSS = 55.0, 5.0  # I-SplitEE, published
OURS = "SplitEE, audited (ours)"
#: of the grid of AdaEE: 0.8
FIXED = 8


def study(examples: Path = EXAMPLES, shuffles: int = SHUFFLES) -> Iterator[StudyRow]:
    """Every row of the study.

    Raises
    ------
    RecordMismatch : no cascade has shift records
    """
    left_out, found = [], 0
    for case in load_image_cases(examples):
        if isinstance(case, str):
            left_out.append(case)
            continue
        found += 1
        yield from _of_case(case, shuffles)
    if not found:
        raise RecordMismatch(f"{examples}: no cascade has shift records: {'; '.join(left_out)}")
    yield StudyRow("cascades left out", None, len(left_out), "", "; ".join(left_out) or "all are there")


def _of_case(case: ImageCase, shuffles: int) -> Iterator[StudyRow]:
    outcomes = {
        "first exit": run_single(case, 0),
        "offload all": run_single(case, len(case.layer_costs) - 1, offload=True),
        f"threshold {TARGET:g}": run_experts(case, plain=True),
        "experts per level": run_experts(case),
        **{name: run_learner(start, case, shuffles) for name, start in LEARNERS.items()},
    }
    last = run_single(case, len(case.layer_costs) - 1)
    how = (
        f"replayed on {last.right.shape[1]:,} test rows a level; the whole network costs {NETWORK_COST:g}, offloading "
        f"{OFFLOAD_COST:g} after the layers of the split; learners: mean of {shuffles} shuffles, a learner per level, "
        f"sure from {ALPHA:g}, audits of {100 * AUDIT_SHARE:g} % paid; against all layers on the device"
    )
    for name, outcome in outcomes.items():
        for number, level in enumerate(case.streams):
            yield from _row(f"{case.name}, {level}, {name}", _level(outcome, number), _level(last, number), how)
        published = (CUT, -LOSS) if name == "I-SplitEE" else (None, None)
        yield from _row(f"{case.name}, all levels, {name}", outcome, last, how, published)
    yield from _claims(case.name, outcomes, last, how)
    yield from _regrets(case, outcomes, how)


def _level(outcome: Outcome, number: int) -> Outcome:
    return Outcome(outcome.cost[number], outcome.right[number])


def _row(
    title: str, outcome: Outcome, last: Outcome, how: str, published: tuple[float | None, float | None] = (None, None)
) -> Iterator[StudyRow]:
    yield StudyRow(f"{title}: cost cut", published[0], _cut(outcome, last), "%", how)
    yield StudyRow(f"{title}: accuracy gained", published[1], _gained(outcome, last), "points", how)


def _cut(outcome: Outcome, last: Outcome) -> float:
    return float(100 * (1 - outcome.cost.mean() / last.cost.mean()))


def _gained(outcome: Outcome, last: Outcome) -> float:
    return float(100 * (outcome.right.mean() - last.right.mean()))


def _regrets(case: ImageCase, outcomes: dict[str, Outcome], how: str) -> Iterator[StudyRow]:
    """Of thresholds, in rewards of AdaEE, over all rows of all levels."""
    rewards, rows = threshold_rewards(case), len(next(iter(case.streams.values())))
    best = rewards.max(1, keepdims=True)
    random = float((best - rewards).mean(1).sum() * rows)
    fixed = float((best[:, 0] - rewards[:, FIXED]).sum() * rows)
    yield StudyRow(f"{case.name}, random thresholds: regret", None, random, "reward", how)
    yield StudyRow(f"{case.name}, threshold {FIXED / 10:g}: regret", None, fixed, "reward", how)
    for name, outcome in outcomes.items():
        if outcome.regret is not None:
            first, second = outcome.regret
            claim = f"{how}; holds: below random thresholds and below threshold {FIXED / 10:g}"
            total = first + second
            yield StudyRow(f"{case.name}, {name}: regret", None, total, "reward", claim, total < min(random, fixed))
            claim = (
                f"{how}; regret of the second half of the rounds in parts of the first; holds: below 1 (a line has 1)"
            )
            growth = second / max(first, 1e-12)
            yield StudyRow(f"{case.name}, {name}: growth of regret", None, growth, "ratio", claim, growth < 1)


def _claims(name: str, outcomes: dict[str, Outcome], last: Outcome, how: str) -> Iterator[StudyRow]:
    split, ours = outcomes["I-SplitEE"], outcomes[OURS]
    cut, gained = _cut(split, last), _gained(split, last)
    claim = f"{how}; holds: at least {CUT:g} % at a loss of at most {LOSS:g} points, over all levels"
    yield StudyRow(f"{name}, I-SplitEE as published", CUT, cut, "%", claim, cut >= CUT and gained >= -LOSS)
    value = {each: float((o.right - o.cost).mean()) for each, o in outcomes.items()}
    difference = (ours.right - ours.cost) - (split.right - split.cost)
    error = float(difference.std() / np.sqrt(difference.size))
    claim = f"{how}; mean of right - cost, standard error {error:.4f}; holds: at least 0"
    better = value[OURS] - value["I-SplitEE"]
    yield StudyRow(f"{name}, ours - I-SplitEE", None, 100 * better, "per 100", claim, better >= 0)
    for each, worth in value.items():
        yield StudyRow(f"{name}, all levels, {each}: right - cost", None, 100 * worth, "per 100", how)
