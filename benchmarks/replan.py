"""Re-planning for a new network, against a full search and against NumPy products.

50 segments on 3 tiers (1,326 placements), 5 exits, 4 made-up lossless codecs, 2 precisions with about 99,500 gate
settings each, 2,500 tune rows made up from a seed, some harder than others. Networks are drawn at random: bandwidths
and round trips log-uniform over four decades, loads from 1 to 4, one network in ten with the second link down; those
where no plan meets the deadline are left out.

"Brute force" is the product of the costs with the shares of all settings that are accurate enough. "Product" is what is
left to do once the settings are prepared as ours are: one row of coefficients for every placement, codec and setting on
the lower hull. Every answer is compared with them, or the benchmark fails.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.plan_case import PlanCase, all_codecs
from offramp.confidence.settings import TINY
from offramp.planning.coefficients import Conditions, coefficients
from offramp.planning.objective import Objective
from offramp.planning.problem import prepare
from offramp.planning.replanner import Replanner
from offramp.planning.scoring import fast_enough
from offramp.planning.search import search

__all__ = ["run"]

Floats = NDArray[np.float64]
Ask = tuple[list[float], list[float], list[float]]
LOSS = 0.01
BRUTE = 3
PASSES = 3


def run(quick: bool) -> list[dict[str, Any]]:
    """Seconds of the full search and the product (baselines) and of a re-plan, and ours / baseline.

    Parameters
    ----------
    quick : 12 segments, 2,000 gate settings and 100 networks instead of 50, 100,000 and 5,000
    """
    segments, most, networks = (12, 2_000, 100) if quick else (50, 100_000, 5_000)
    case = PlanCase.of(segments)
    with all_codecs():
        usual = Replanner(
            list(case.records), case.profiles, case.network, Objective(accuracy_loss=LOSS), **_options(case, most)
        )
        late_s = 2 * usual.replan().value
        return [
            *_rows("mean", case, Objective(accuracy_loss=LOSS), most, networks),
            *_rows(
                "95 % in time",
                case,
                Objective(accuracy_loss=LOSS, deadline_s=late_s, deadline_quantile=0.95),
                most,
                networks,
            ),
        ]


def _rows(name: str, case: PlanCase, objective: Objective, most: int, networks: int) -> list[dict[str, Any]]:
    options = _options(case, most)
    begin = time.perf_counter()
    replanner = Replanner(list(case.records), case.profiles, case.network, objective, **options)
    prepare_s = time.perf_counter() - begin
    begin = time.perf_counter()
    search(list(case.records), case.profiles, case.network, objective, alternatives=0, **options)
    search_s = time.perf_counter() - begin
    asked, least, product_s = _product(replanner, objective, networks)
    brute_s = _brute_force(case, objective, most, asked[:BRUTE], least)
    p50, p99 = np.quantile(_replan_seconds(replanner, asked, least), [0.5, 0.99]).tolist()
    notes = f"{len(replanner)} pairs prepared in {prepare_s:.2f} s, {len(asked)} networks"
    return [
        _row(f"re-plan p50 ({name}) / full search", search_s, p50, notes),
        _row(f"re-plan p50 ({name}) / brute force", brute_s, p50, notes),
        _row(f"re-plan p50 ({name}) / product", product_s, p50, notes),
        _row(f"re-plan p99 ({name}) / product", product_s, p99, notes),
    ]


def _replan_seconds(replanner: Replanner, asked: list[Ask], least: list[float]) -> Floats:
    """Seconds for every network: the median of passes over all of them, each after an answer for another network."""
    seconds = np.empty((PASSES, len(asked)))
    for one in seconds:
        for turn, (ask, expected) in enumerate(zip(asked, least, strict=True)):
            begin = time.perf_counter()
            choice = replanner.replan(*ask)
            one[turn] = time.perf_counter() - begin
            if abs(choice.value - expected) > 1e-9 * max(1.0, expected):
                raise RuntimeError(f"re-planning found {choice.value} s, the product {expected} s")
    return np.asarray(np.median(seconds, axis=0))


def _product(replanner: Replanner, objective: Objective, networks: int) -> tuple[list[Ask], list[float], float]:
    """Networks with a plan, the least mean latency on each, and the median seconds of the product."""
    rng = np.random.default_rng(1)
    reach = [replanner.rows(tiers) for tiers in (1, 2, 3)]
    asked, least, seconds = [], [], []
    for _ in range(networks):
        rates, delays = (10 ** rng.uniform(5, 9, 2)).tolist(), (10 ** rng.uniform(-4, 0, 2)).tolist()
        if rng.random() < 0.1:
            rates[1] = 0.0
        ask = (rates, delays, rng.uniform(1, 4, 3).tolist())
        begin = time.perf_counter()
        vector, tiers = replanner.vector(*ask)
        _, mean, late = reach[tiers - 1]
        latency = mean @ vector
        if objective.deadline_s is not None:
            spent = (late.reshape(-1, len(vector)) @ vector).reshape(len(late), -1)
            latency[(spent > replanner.most + 1e-12).any(1)] = np.inf
        best = float(latency[latency.argmin()])
        seconds.append(time.perf_counter() - begin)
        if np.isfinite(best):
            asked.append(ask)
            least.append(best)
    return asked, least, float(np.median(seconds))


def _brute_force(case: PlanCase, objective: Objective, most: int, asked: list[Ask], least: list[float]) -> float:
    """Median seconds of the product of all costs with all settings that are accurate enough."""
    problem = prepare(list(case.records), case.profiles, case.network, objective, **_options(case, most))
    least_accuracy = problem.variants[0].settings.accuracy_last_exit - LOSS - TINY
    settings = [variant.settings for variant in problem.variants]
    share = [one.share[one.accuracy >= least_accuracy] for one in settings]
    table = np.concatenate([coefficients(one, case.network) for one in problem.choices.tables])
    last = np.concatenate([one.placements[:, -1] for one in problem.choices.tables])
    of = np.repeat(np.arange(len(share)), len(table) // len(share))
    seconds = []
    for ask, expected in zip(asked, least, strict=False):
        begin = time.perf_counter()
        vector, tiers = Conditions(len(case.network.tiers)).vector(*ask)
        best = np.inf
        costs = table @ vector
        for which, mine in enumerate(share):
            for cost in np.array_split(costs[(last < tiers) & (of == which)], 50):
                latency = cost @ mine.T
                latency[~fast_enough(cost, mine, objective)] = np.inf
                best = min(best, float(latency.min(initial=np.inf)))
        seconds.append(time.perf_counter() - begin)
        if abs(best - expected) > 1e-9 * max(1.0, expected):
            raise RuntimeError(f"brute force found {best} s, the product {expected} s")
    return float(np.median(seconds))


def _options(case: PlanCase, most: int) -> dict[str, Any]:
    return {"temperatures": case.temperatures, "max_settings": most}


def _row(name: str, baseline_s: float, ours_s: float, notes: str) -> dict[str, Any]:
    return {
        "name": name,
        "baseline": baseline_s,
        "ours": ours_s,
        "ratio": ours_s / baseline_s,
        "unit": "s",
        "how": "measured: quantile over the networks of the median of 3 passes; search once, product's "
        "median over them, brute force on 3",
        "notes": notes,
    }
