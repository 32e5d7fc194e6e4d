"""Bandit exits, and gates that follow audits, on SST-2 turned into another domain."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from studies.domain_shift.evidence import load_streams
from studies.domain_shift.record import FOLDER
from studies.domain_shift.rules import (
    AUDIT_SHARE,
    LAYER,
    LEARNERS,
    OFFLOAD,
    Run,
    arm_rewards,
    choose_alpha,
    fit_gated,
    learn,
)
from studies.row import StudyRow

__all__ = ["study"]

SHUFFLES, LENGTH = 20, 1500
CUT, LOSS = 50.0, 2.0  # SplitEE, published
OURS, STILL = "ours", "ours, not following"


@dataclass(frozen=True)
class _Outcome:
    """Mean over the shuffles: cost cut in percent, accuracy lost in points, and the error of its mean."""

    cut: float
    loss: float
    error: float


def study(folder: Path = FOLDER, shuffles: int = SHUFFLES, length: int = LENGTH) -> Iterator[StudyRow]:
    """Every row of the study.

    Raises
    ------
    RecordMismatch : a stream is missing, or of another build
    """
    streams = load_streams(folder)
    alpha = choose_alpha(streams)
    gated = {OURS: fit_gated(streams), STILL: fit_gated(streams, rate=0.0)}
    for name, records in streams.records.items():
        stream = streams.stream(name)
        size = min(length, len(stream))
        orders = [np.random.default_rng(seed).permutation(len(stream))[:size] for seed in range(shuffles)]
        runs = {rule: [learn(rule, streams, stream, order, alpha) for order in orders] for rule in LEARNERS}
        runs |= {rule: [each.run(records, o, s) for s, o in enumerate(orders)] for rule, each in gated.items()}
        last = [records.correct[-1][order] for order in orders]
        full = LAYER * stream.exits
        how = (
            f"replayed: {shuffles} shuffles of {size:,} of {len(stream):,} rows, generated shift; a layer costs "
            f"{LAYER:g}, an offload {OFFLOAD:g}, sure from {alpha:g} (chosen on tune rows); against all layers, "
            f"{full:g}; {100 * AUDIT_SHARE:g} % of the early answers audited and paid for, for those that ask"
        )
        for index in range(stream.exits):
            accuracy = 100 * float(records.correct[index].mean())
            yield StudyRow(f"{name}, exit {index + 1}: accuracy", None, accuracy, "%", f"all {len(stream):,} rows")
        outcomes = {rule: _outcome(each, last, full) for rule, each in runs.items()}
        for rule, got in outcomes.items():
            published = (CUT, LOSS) if rule == "SplitEE" else (None, None)
            yield StudyRow(f"{name}, {rule}: cost cut", published[0], got.cut, "%", how)
            detail = f"{how}; standard error over shuffles {got.error:.2f}"
            yield StudyRow(f"{name}, {rule}: accuracy lost", published[1], got.loss, "points", detail)
        yield from _claims(name, outcomes, runs, arm_rewards(stream, alpha), how)


def _outcome(runs: list[Run], last: list[NDArray[np.bool_]], full: float) -> _Outcome:
    loss = [100 * float(one.mean() - run.right.mean()) for run, one in zip(runs, last, strict=True)]
    cut = [100 * (1 - float(run.cost.mean()) / full) for run in runs]
    return _Outcome(float(np.mean(cut)), float(np.mean(loss)), float(np.std(loss) / np.sqrt(len(loss))))


def _claims(
    name: str, outcomes: dict[str, _Outcome], runs: dict[str, list[Run]], rewards: NDArray[np.float64], how: str
) -> Iterator[StudyRow]:
    regret = {
        rule: np.array([(rewards.max() - rewards[run.arm]).sum() for run in runs[rule]])
        for rule in ("SplitEE", "SplitEE-S")
    }
    for rule, each in regret.items():
        yield StudyRow(f"{name}, {rule}: regret", None, float(each.mean()), "reward", f"{how}; against the best split")
    difference = regret["SplitEE-S"] - regret["SplitEE"]
    claim = f"{how}; standard error {difference.std() / np.sqrt(len(difference)):.1f}; holds: below 0"
    faster = float(difference.mean())
    yield StudyRow(f"{name}, SplitEE-S learns faster: regret less SplitEE's", None, faster, "reward", claim, faster < 0)
    got = outcomes["SplitEE"]
    claim = f"{how}; holds: more than {CUT:g} % at a loss below {LOSS:g} points (lost: {got.loss:.2f})"
    kept = got.cut > CUT and got.loss < LOSS
    yield StudyRow(f"{name}, SplitEE as published", CUT, got.cut, "%", claim, kept)
    ours = outcomes[OURS]
    better = [
        rule
        for rule, other in outcomes.items()
        if rule in LEARNERS and other.cut >= ours.cut and other.loss <= ours.loss
    ]
    claim = f"{how}; rules both cheaper and more accurate than ours: {', '.join(better) or 'none'}; holds: none"
    yield StudyRow(f"{name}, ours on the front", None, len(better), "rules", claim, not better)
