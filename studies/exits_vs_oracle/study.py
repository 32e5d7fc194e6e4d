"""What single exits, thresholds, votes, bandits and gain gates take of an oracle's gain, on every cascade."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import RecordMismatch
from studies.exits_vs_oracle.cases import EXAMPLES, PRICE, Case, load_cases
from studies.exits_vs_oracle.rules import (
    AUDIT_SHARE,
    LEARNERS,
    best_exit,
    gain_exits,
    learned_exits,
    oracle_exits,
    shared_threshold,
    threshold_exits,
    value,
)
from studies.row import StudyRow

__all__ = ["study"]

SHUFFLES = 3
OURS = "gain, backwards (ours)"
ORACLE = "oracle"


@dataclass(frozen=True)
class _Outcome:
    """Of one rule: mean value, accuracy, depth and, where it was measured, latency; the value of every row."""

    worth: float
    accuracy: float
    depth: float
    latency_s: float | None
    each: NDArray[np.float64]


def study(shuffles: int = SHUFFLES) -> Iterator[StudyRow]:
    """Every row of the study.

    Raises
    ------
    RecordMismatch : no cascade with early exits
    """
    left_out, seen = [], []
    for case in load_cases(EXAMPLES):
        if isinstance(case, str):
            left_out.append(case)
            continue
        outcomes = _outcomes(case, shuffles)
        seen.append(outcomes)
        yield from _rows(case, outcomes, shuffles)
    if not seen:
        raise RecordMismatch("no records of a cascade with early exits; record one first with 'offramp record'")
    yield from _summary(seen)
    if left_out:
        yield StudyRow("cascades left out", None, len(left_out), "cascades", "; ".join(left_out))


def _outcomes(case: Case, shuffles: int) -> dict[str, _Outcome]:
    tune, test = case.stream(case.tune), case.stream(case.test)
    costs, rows = PRICE * case.depth, np.arange(len(test))
    threshold = shared_threshold(tune, costs)
    last = test.exits - 1
    plain = {
        "last exit": np.full(len(test), last),
        "best single exit": np.full(len(test), best_exit(tune, costs)),
        "one threshold": threshold_exits(test, threshold),
        OURS: gain_exits(case, PRICE),
        ORACLE: oracle_exits(test, costs),
    }
    found = {name: [(exits, rows)] for name, exits in plain.items()}
    for name, start in LEARNERS.items():
        orders = [np.random.default_rng(seed).permutation(len(test)) for seed in range(shuffles)]
        found[name] = [(learned_exits(start, case.setting(threshold), test, order), order) for order in orders]
    worth = value(test.right, costs)
    return {name: _outcome(case, test.right, worth, runs) for name, runs in found.items()}


def _outcome(
    case: Case,
    right: NDArray[np.bool_],
    worth: NDArray[np.float64],
    runs: list[tuple[NDArray[np.intp], NDArray[np.intp]]],
) -> _Outcome:
    exits, rows = (np.concatenate(parts) for parts in zip(*runs, strict=True))
    each = np.bincount(rows, worth[exits, rows], minlength=right.shape[1]) / len(runs)
    latency_s = None if case.latency_s is None else float(case.latency_s[exits].mean())
    return _Outcome(
        float(each.mean()), float(right[exits, rows].mean()), float(case.depth[exits].mean()), latency_s, each
    )


def _rows(case: Case, outcomes: dict[str, _Outcome], shuffles: int) -> Iterator[StudyRow]:
    how = (
        f"replayed on the test rows; the whole network costs {PRICE:g} mistakes, an exit its share of the FLOPs; "
        f"fitted on the tune rows; learners see the rows once, mean of {shuffles} shuffles, {100 * AUDIT_SHARE:g} % of "
        "the early answers audited for the one that asks for it; 0 is the last exit, 100 the oracle"
    )
    last, oracle = outcomes["last exit"].worth, outcomes[ORACLE].worth
    yield StudyRow(f"{case.name}: oracle's gain", None, 100 * (oracle - last), "per 100", how)
    for name, found in outcomes.items():
        title = f"{case.name}, {name}"
        if name not in ("last exit", ORACLE):
            yield StudyRow(f"{title}: of the oracle's gain", None, _share(found.worth, last, oracle), "%", how)
        yield StudyRow(f"{title}: accuracy", None, 100 * found.accuracy, "%", how)
        yield StudyRow(f"{title}: depth", None, 100 * found.depth, "%", how)
        if found.latency_s is not None:
            measured = "modelled: exits taken, times the measured medians of the segments on one core, batch 1"
            yield StudyRow(f"{title}: latency", None, 1000 * found.latency_s, "ms", measured)


def _share(worth: float, last: float, oracle: float) -> float:
    return 100 * (worth - last) / max(oracle - last, 1e-12)


def _summary(seen: list[dict[str, _Outcome]]) -> Iterator[StudyRow]:
    count = len(seen)
    for name in seen[0]:
        if name in ("last exit", ORACLE):
            continue
        shares = [_share(found[name].worth, found["last exit"].worth, found[ORACLE].worth) for found in seen]
        yield StudyRow(
            f"all cascades, {name}: of the oracle's gain",
            None,
            float(np.mean(shares)),
            "%",
            f"mean of {count} cascades",
        )
    best, sure = 0, 0
    for found in seen:
        others = [each for name, each in found.items() if name not in (OURS, ORACLE)]
        rival = max(others, key=lambda each: each.worth)
        difference = found[OURS].each - rival.each
        best += int(found[OURS].worth >= rival.worth - 1e-12)
        sure += int(difference.mean() < -2 * difference.std() / np.sqrt(len(difference)))
    how = f"{count} cascades; against the best of the others on the same test rows"
    yield StudyRow("ours at or above every other rule", None, best, f"of {count}", f"{how}; holds: all", best == count)
    how = f"{how}, by more than two standard errors; holds: none"
    yield StudyRow("ours surely below another rule", None, sure, f"of {count}", how, sure == 0)
