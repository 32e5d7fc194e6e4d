"""How often each way of choosing gates breaks its promise, and what it saves."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.bounds.binomial import clopper_pearson_upper
from offramp.confidence.bounds.signed import signed_upper
from offramp.confidence.certify import SettingOrder, order_settings
from offramp.confidence.risks import AccuracyLoss, Evidence
from offramp.confidence.settings import threshold_grid
from offramp.confidence.testing.pareto import pareto_testing
from offramp.errors import RecordMismatch
from studies.certificates.methods import CERTIFIED, METHODS, ON_SHARED, decide
from studies.certificates.pool import Pool, draw_weights
from studies.certificates.problems import EXAMPLES, SOURCES, Problem, load_problem
from studies.row import StudyRow

__all__ = ["Case", "Outcome", "run_case", "study"]

LIMITS = (0.005, 0.01, 0.02)
DELTAS = (0.05, 0.1)
ROWS = (500, 1000, 2000)
SPLITS = 1000
#: a bet on every row, and an order found anew in every split, take their time: these see fewer splits
FEWER = {"WSR signed": 100, "WSR signed, vector": 100, "Pareto Testing": 30}
_PARETO_SETTINGS = 10_000
_SHARED_POINTS = 60
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """One limit, one level, one number of rows."""

    limit: float
    delta: float
    rows: int

    @property
    def words(self) -> str:
        """For a row's name."""
        return f"epsilon {self.limit:g}, delta {self.delta:g}, n {self.rows:,}"


@dataclass(frozen=True)
class Outcome:
    """Over s splits: ``saved`` (s,) share of the FLOPs by the cheapest accepted setting, ``broken`` (s,) by any."""

    saved: Floats
    broken: NDArray[np.bool_]


def study(folder: Path = EXAMPLES, splits: int = SPLITS) -> Iterator[StudyRow]:
    """For every cascade and case a row of violations and one of savings for each method.

    Raises
    ------
    RecordMismatch : no records are there
    """
    problems = [p for small, large in SOURCES if (p := load_problem(small, large, folder)) is not None]
    if not problems:
        raise RecordMismatch(f"{folder}: no records of any cascade of this study; record one first")
    against: dict[tuple[float, str], list[float]] = {}
    for problem in problems:
        for rows in ROWS:
            weights = draw_weights(problem.pool.rows, rows, splits)
            for case in (Case(limit, delta, rows) for limit in LIMITS for delta in DELTAS):
                outcomes = run_case(problem, case, weights)
                yield from _rows(problem, case, outcomes)
                if rows == max(ROWS) and case.limit >= 0.01:
                    for other in ("LTT truncated", "LTT truncated, vector"):
                        against.setdefault((case.limit, other), []).append(_more(outcomes, other))
        yield from _least(problem)
    yield from _summary(against)


def run_case(problem: Problem, case: Case, weights: NDArray[np.float32]) -> dict[str, Outcome]:
    """Every method on the same draws: ``weights`` (N, s), how often each row of the pool is in each draw."""
    shared = _shared_order(problem)
    risk, own = AccuracyLoss(case.limit), np.diff(problem.exit_cost)[None]
    vector = order_settings(problem.tune, [risk], case.delta, case.rows, weights=own)
    found = {}
    for order, names in ((shared, ON_SHARED), (vector, tuple(name for name in METHODS if name not in ON_SHARED))):
        pool = Pool.of(order.thresholds, problem, case.limit)
        draws = pool.draws(weights, case.rows)
        for name in names:
            splits = min(weights.shape[1], FEWER.get(name, weights.shape[1]))
            if name == "Pareto Testing":
                found[name] = _pareto(problem, case, splits)
                continue
            few = replace(draws, bad=draws.bad[:, :splits], good=draws.good[:, :splits])
            accepted = decide(name, few, order, case.limit, case.delta)
            found[name] = _judged(accepted, pool, alone=name == "plug-in")
    return {name: found[name] for name in METHODS}


def _judged(accepted: NDArray[np.bool_], pool: Pool, alone: bool) -> Outcome:
    """What the cheapest accepted setting saves; whether the limit is broken by any accepted one, or by it alone."""
    best = np.where(accepted, pool.cost[:, None], np.inf).argmin(0)
    broken = pool.broken[best] if alone else (accepted & pool.broken[:, None]).any(0)
    return Outcome(1.0 - pool.cost[best], np.asarray(broken))


def _pareto(problem: Problem, case: Case, splits: int) -> Outcome:
    draw, found = np.random.default_rng(1), []
    for _ in range(splits):
        rows = draw.integers(0, problem.pool.rows, case.rows)
        evidence = Evidence(problem.pool.score[:, rows], problem.pool.correct[:, rows])
        certified = pareto_testing(
            evidence, [AccuracyLoss(case.limit)], case.delta, draw, max_settings=_PARETO_SETTINGS
        )
        pool = Pool.of(certified.thresholds[certified.accepted], problem, case.limit)
        found.append(_judged(np.ones((len(pool.cost), 1), bool), pool, alone=False))
    return Outcome(np.concatenate([f.saved for f in found]), np.concatenate([f.broken for f in found]))


def _shared_order(problem: Problem) -> SettingOrder:
    """One threshold for all exits, from never to always: the order of CALM and of Fast yet Safe."""
    grid = threshold_grid(problem.tune.score.ravel(), _SHARED_POINTS)[::-1].astype(np.float64)
    thresholds = np.repeat(grid[:, None], len(problem.tune.score), axis=1)
    return SettingOrder(thresholds, np.full((1, len(grid)), "signed"))


def _more(outcomes: dict[str, Outcome], other: str) -> float:
    """How much more ours saves, as a share of what the other does."""
    ours, theirs = (float(np.median(outcomes[name].saved)) for name in ("ours", other))
    return ours / theirs - 1 if theirs > 0 else 0.0


def _summary(against: dict[tuple[float, str], list[float]]) -> Iterator[StudyRow]:
    for (limit, other), found in against.items():
        middle = 100 * float(np.median(found))
        yield StudyRow(
            f"ours saves more than {other}, epsilon {limit:g}, n {max(ROWS):,}",
            None,
            middle,
            "%",
            f"replayed: median over {len(found)} cascades and levels of the ratio of median savings - 1, spread "
            f"{100 * min(found):.1f} to {100 * max(found):.1f} %; aim: at least 10 %",
            middle >= 10,
        )


def _rows(problem: Problem, case: Case, outcomes: dict[str, Outcome]) -> Iterator[StudyRow]:
    plug_in = float(np.median(outcomes["plug-in"].saved))
    for name, outcome in outcomes.items():
        splits = len(outcome.broken)
        noise = 3 * np.sqrt(case.delta * (1 - case.delta) / splits)
        rate = float(outcome.broken.mean())
        promise = METHODS[name]
        yield StudyRow(
            f"{problem.name}, {case.words}: {name} breaks its limit",
            100 * case.delta if name in CERTIFIED else None,
            100 * rate,
            "% of splits",
            f"replayed: share of {splits} draws of n rows (with replacement, from the pool of calibrate and test rows, "
            f"whose mean is the truth) in which an accepted setting breaks the limit; promises {promise}; "
            f"holds: at most delta + 3 Monte-Carlo errors",
            bool(rate <= case.delta + noise) if name in CERTIFIED else None,
        )
        low, middle, high = 100 * np.quantile(outcome.saved, [0.05, 0.5, 0.95])
        of = f"; {middle / plug_in:.0f} % of the plug-in's" if plug_in > 0 else ""
        yield StudyRow(
            f"{problem.name}, {case.words}: {name} saves",
            None,
            float(middle),
            "% of FLOPs",
            f"replayed: median over the splits, 5 to 95 %: {low:.1f} to {high:.1f}{of}",
        )


def _least(problem: Problem) -> Iterator[StudyRow]:
    """The smallest epsilon that n rows can certify at all: with the safest setting, and in principle."""
    order = order_settings(problem.tune, [AccuracyLoss(0.05)], 0.05, 2000, weights=np.diff(problem.exit_cost)[None])
    pool = Pool.of(order.thresholds[1:], problem, 0.05)
    for rows in ROWS:
        bad, good = (np.rint(one.sum(1) * rows / problem.pool.rows).astype(int) for one in (pool.bad, pool.good))
        found = min(
            float(clopper_pearson_upper(bad, rows, 0.05).min()),
            min(signed_upper(int(b), int(g), rows, 0.05) for b, g in zip(bad[:8], good[:8], strict=True)),
        )
        never = float(clopper_pearson_upper(0, rows, 0.05))
        yield StudyRow(
            f"{problem.name}: smallest epsilon that n {rows:,} certifies at 95 %",
            None,
            100 * found,
            "points",
            f"modelled: bound of the safest settings were n rows like the whole pool; no row lost: {100 * never:.2f}",
        )
