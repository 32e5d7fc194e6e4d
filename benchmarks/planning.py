"""The exact search, and its table of gate settings, against loops that try one thing at a time.

8 segments on 3 tiers (45 placements), 4 exits, 2,500 tune rows, about 97,000 gate settings; the problem is
made up from a seed. Both sides find the same least latency, or the benchmark fails.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.settings import GateSettings, exits_taken
from offramp.planning.costs import CostTable, cost_table
from offramp.planning.objective import Objective
from offramp.planning.search import search
from offramp.records.confidences import confidences
from offramp.records.records import Records
from tests.support.instances import Instance, make_instance

__all__ = ["run"]

Floats = NDArray[np.float64]
T = TypeVar("T")
LOSS = 0.01


def run(quick: bool) -> list[dict[str, Any]]:
    """Seconds of the loops (baseline) and of offramp, and ours / baseline.

    Parameters
    ----------
    quick : 2,000 gate settings instead of 100,000
    """
    most = 2_000 if quick else 100_000
    case = make_instance(22, segments=8, tiers=3, exits=4, rows=5_000)
    tune = case.records.on("tune")
    confidence = confidences(tune, case.temperatures)
    settings = GateSettings.build(confidence, tune.correct, most)
    table = cost_table(case.profiles, case.network, "raw", 4)

    loop_s, (share, accuracy) = _timed(lambda: _loop_over_settings(confidence, tune, settings.thresholds), 1)
    table_s, built = _timed(lambda: GateSettings.build(confidence, tune.correct, most), 5)
    if not (np.array_equal(built.share, share) and np.allclose(built.accuracy, accuracy, rtol=0, atol=1e-12)):
        raise RuntimeError("the table of gate settings differs from the loop")
    choose_s, least_s = _timed(lambda: _loop_over_placements(table, share, accuracy), 1)
    search_s, found_s = _timed(lambda: _search(case, most), 5)
    if abs(least_s - found_s) > 1e-9:
        raise RuntimeError(f"the search found {found_s} s, the loop {least_s} s")
    size = f"{len(table.placements)} placements, {len(settings)} settings, {len(tune)} rows"
    return [
        _row("gate settings table", loop_s, table_s, f"{len(settings)} settings, {len(tune)} rows"),
        _row("full search", loop_s + choose_s, search_s, f"{size}; ours also predicts, explains and draws the front"),
    ]


def _row(name: str, baseline_s: float, ours_s: float, notes: str) -> dict[str, Any]:
    return {
        "name": name,
        "baseline": baseline_s,
        "ours": ours_s,
        "ratio": ours_s / baseline_s,
        "unit": "s",
        "how": "measured: baseline once, ours the median of 5 runs",
        "notes": f"baseline: a loop over everything; {notes}",
    }


def _search(case: Instance, most: int) -> float:
    objective = Objective(accuracy_loss=LOSS)
    found = search(
        case.records, case.profiles, case.network, objective, temperatures=case.temperatures, max_settings=most
    )
    last = float(case.records.on("tune").correct[-1].mean())
    return min(point.mean_latency_s for point in found.front if last - point.accuracy <= LOSS + 1e-12)


def _loop_over_settings(confidence: NDArray[np.float32], tune: Records, thresholds: Floats) -> tuple[Floats, Floats]:
    correct, rows = tune.correct, np.arange(len(tune))
    share, accuracy = np.empty((len(thresholds), tune.exits)), np.empty(len(thresholds))
    for index, setting in enumerate(thresholds):
        taken = exits_taken(confidence, setting)
        share[index] = np.bincount(taken, minlength=tune.exits) / len(tune)
        accuracy[index] = correct[taken, rows].mean()
    return share, accuracy


def _loop_over_placements(table: CostTable, share: Floats, accuracy: Floats) -> float:
    least = np.inf
    for cost in table.cost_s:
        for setting, right in zip(share, accuracy, strict=True):
            if accuracy[-1] - right <= LOSS + 1e-12:
                least = min(least, float(cost @ setting))
    return float(least)


def _timed(job: Callable[[], T], repeats: int) -> tuple[float, T]:
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        result = job()
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds)), result
