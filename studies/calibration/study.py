"""Calibration-aided offloading on our cascades: calibration error, outage, missed deadlines, and a gate that holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.errors import RecordMismatch
from studies.calibration.deadline import AIMED, CLOUDS, deadline_target, deadlines_of, missed_by, seconds_of
from studies.calibration.outcome import CERTIFIED, DELTA, LEVEL, PLAIN, TARGETS, Outcome
from studies.calibration.problems import SOURCES, Cost, Problem, Source, load_problem
from studies.calibration.published import published
from studies.calibration.splits import ECE_TARGET, run_splits
from studies.calibration.temperatures import VARIANTS, TemperatureGrid
from studies.row import StudyRow

__all__ = ["study"]

REPEATS = 100
#: batches per cascade, at the least
_BATCHES = 2000
_NO_SHARE = 0.005


def study(sources: Sequence[Source] = SOURCES, repeats: int = REPEATS) -> Iterator[StudyRow]:
    """Every row of the study; what has no records yet is named in one row.

    Raises
    ------
    RecordMismatch : none of the cascades has records
    """
    missing: list[str] = []
    for source in sources:
        try:
            problem = load_problem(source)
        except RecordMismatch as error:
            missing.append(f"{source.name} ({str(error).split(';')[0].rsplit('/', 1)[-1]})")
            continue
        yield from _problem_rows(problem, repeats)
    if len(missing) == len(sources):
        raise RecordMismatch(f"no cascade of the study has records: {', '.join(missing)}")
    if missing:
        yield StudyRow("cascades left out", None, len(missing), "cascades", f"counted; {', '.join(missing)}")


def _problem_rows(problem: Problem, repeats: int) -> Iterator[StudyRow]:
    grid = TemperatureGrid.of(problem.logits, problem.labels)
    each = len(problem.labels) // 2 // 256
    repeats = max(repeats, -(-_BATCHES // each)) if repeats >= REPEATS else repeats
    outcome = run_splits(problem, grid, repeats)
    where = (
        f"replayed on {repeats} random re-splits (20 % tune, 30 % calibrate) of the {len(problem.labels):,} recorded "
        f"rows of {problem.data}, {outcome.batches} test batches of 256 each, {problem.device} exits on the device"
    )
    yield from _errors(problem, outcome, where)
    for target in TARGETS:
        yield from _service(problem.name, outcome, target, where)
        yield from _against(problem.name, outcome, target, where)
    if problem.cost:
        yield from _deadlines(problem, problem.cost, grid, repeats, where)


def _spread(values: NDArray[np.float64], where: str) -> tuple[float, str]:
    """The median in per cent, and how it was obtained with its 5-95 % spread."""
    low, middle, high = (100 * float(v) for v in np.quantile(values, [0.05, 0.5, 0.95]))
    return middle, f"{where}; median, 5-95 %: {low:.1f} to {high:.1f}"


def _errors(problem: Problem, outcome: Outcome, where: str) -> Iterator[StudyRow]:
    for e in range(problem.device):
        for variant in VARIANTS:
            ours, how = _spread(outcome.ece[variant, e], f"{where}; 15 bins, fitted at target {ECE_TARGET}")
            yield StudyRow(f"{problem.name}: ECE, exit {e + 1} of the device, {variant}", None, ours, "%", how)


def _service(name: str, outcome: Outcome, target: float, where: str) -> Iterator[StudyRow]:
    for method in (*VARIANTS, CERTIFIED):
        title = f"{name}, target {target:g}, {method}"
        share, how = _spread(outcome.share[target, method], where)
        said = [published(name, target, method, measure) for measure in ("share", "accuracy", "outage")]
        yield StudyRow(f"{title}: decided on the device", said[0], share, "%", how)
        if share > 100 * _NO_SHARE:
            accuracy, how = _spread(outcome.accuracy[target, method], where)
            yield StudyRow(f"{title}: accuracy of what the device decides", said[1], accuracy, "%", how)
        outage = outcome.outage[target, method]
        how = f"{where}; mean over {outage.size * outcome.batches:,} batches, repeats 5-95 %: " + " to ".join(
            f"{100 * float(v):.1f}" for v in np.quantile(outage, [0.05, 0.95])
        )
        holds = None
        if method == CERTIFIED:
            how += f"; certified on the calibrate rows at level {DELTA:g}; holds: at most {100 * LEVEL:g} %"
            holds = bool(outage.mean() <= LEVEL)
        yield StudyRow(f"{title}: inference outage", said[2], 100 * float(outage.mean()), "%", how, holds)


def _against(name: str, outcome: Outcome, target: float, where: str) -> Iterator[StudyRow]:
    """Our ranking at the outage of the best temperature variant, and what calibration itself gains."""
    best = outcome.best_variant(target)
    share, outage = float(outcome.share[target, best].mean()), float(outcome.outage[target, best].mean())
    raw = float(outcome.outage[target, VARIANTS[0]].mean())
    yield StudyRow(
        f"{name}, target {target:g}: outage uncalibrated less that of the best temperatures",
        None,
        100 * (raw - outage),
        "points",
        f"{where}; best: {best}, the variant that decides most at an outage of at most {100 * LEVEL:g} % or, where "
        "none holds it, that of least outage",
    )
    certified = float(outcome.share[target, CERTIFIED].mean())
    if share < _NO_SHARE:
        return
    how = f"{where}; means; best: {best}, deciding {100 * share:.1f} % at an outage of {100 * outage:.2f} %"
    yield StudyRow(
        f"{name}, target {target:g}: share, certified / best temperatures", None, certified / share, "x", how
    )
    for ranking, claim in ((PLAIN, None), ("learnt", True)):
        ours = outcome.share_at(target, outage, ranking) / share
        yield StudyRow(
            f"{name}, target {target:g}: share at equal outage, last exit by {ranking} / best temperatures",
            None,
            ours,
            "x",
            f"{how}; our threshold is the boldest whose mean outage is no higher"
            + ("; holds: at least 1" * bool(claim)),
            ours >= 1.0 if claim else None,
        )


def _deadlines(problem: Problem, cost: Cost, grid: TemperatureGrid, repeats: int, where: str) -> Iterator[StudyRow]:
    target, seconds = deadline_target(problem), [seconds_of(cost, cloud) for cloud in CLOUDS]
    for cloud, cost_s, missed in zip(CLOUDS, seconds, missed_by(problem, grid, seconds, target, repeats), strict=True):
        limits = ", ".join(f"{1e3 * limit:.0f}" for limit in deadlines_of(cost_s))
        how = (
            f"{where}; {cost.how}; {cloud.name}: rtt {1e3 * cloud.rtt_s:g} ms, {cloud.bandwidth_bps / 1e6:g} Mbit/s, "
            f"{cost.payload_bytes:,.0f} bytes; target {target:g}, the highest the cloud alone meets; "
        )
        yield from _misses(f"{problem.name}, {cloud.name}", missed, how, limits)


def _misses(name: str, missed: dict[str, NDArray[np.float64]], how: str, limits: str) -> Iterator[StudyRow]:
    average = {method: values.mean(1) for method, values in missed.items()}
    best = min(float(average[v].mean()) for v in VARIANTS)
    for method, values in missed.items():
        middle, said = _spread(average[method], f"{how}mean over the deadlines {limits} ms")
        holds = None
        if method == AIMED:
            said += "; thresholds chosen per deadline on tune and calibrate rows; holds: below every variant"
            holds = bool(average[method].mean() < best)
        yield StudyRow(f"{name}, {method}: missed deadlines", None, middle, "%", said, holds)
        middle, said = _spread(values[:, -1], f"{how}at the loosest deadline: what accuracy alone misses")
        yield StudyRow(f"{name}, {method}: missed-deadline floor", None, middle, "%", said)
