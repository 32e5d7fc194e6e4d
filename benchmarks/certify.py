"""A certificate over 100,000 gate settings, against testing one setting after the other; and its memory.

10,000 rows, 4 exits, made up from a seed. Both sides give the same settings, or the benchmark fails. The loop is
timed on every so many-th setting and scaled up.
"""

from __future__ import annotations

import time
import tracemalloc
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.bounds.signed import signed_p_value
from offramp.confidence.certify import accept_in_order, order_settings
from offramp.confidence.counting import exits_taken
from offramp.confidence.risks import AccuracyLoss, Evidence

__all__ = ["run"]

LIMIT, DELTA = 0.02, 0.05
_LOOPED = 500


def run(quick: bool) -> list[dict[str, Any]]:
    """Seconds of the loop (baseline) and of offramp, and peak memory against 2 GB.

    Parameters
    ----------
    quick : 2,000 gate settings instead of 100,000
    """
    most = 2_000 if quick else 100_000
    tune, calibrate = (_evidence(10_000, seed) for seed in (0, 1))
    risks = [AccuracyLoss(LIMIT)]
    begin = time.perf_counter()
    order = order_settings(tune, risks, DELTA, calibrate.rows, tested=None, max_settings=most)
    certified = accept_in_order(order, calibrate, risks, DELTA)
    ours_s = time.perf_counter() - begin
    settings = len(order.thresholds)
    step = max(1, settings // _LOOPED)
    begin = time.perf_counter()
    values = [_one(setting, calibrate) for setting in order.thresholds[::step]]
    loop_s = (time.perf_counter() - begin) * settings / len(values)
    if not np.allclose(certified.values[0, ::step], values):
        raise RuntimeError("the table of losses differs from the loop")
    tracemalloc.start()
    accept_in_order(order_settings(tune, risks, DELTA, 10_000, tested=None, max_settings=most), calibrate, risks, DELTA)
    peak_gb = tracemalloc.get_traced_memory()[1] / 1e9
    tracemalloc.stop()
    size = f"{settings:,} settings, 10,000 rows, 4 exits, {int(certified.accepted.sum()):,} certified"
    how = f"measured: ours once, orders on 10,000 more rows too; baseline on {len(values)} settings, scaled up"
    return [
        _row("certificate of a whole grid", loop_s, ours_s, "s", how, f"baseline: a loop over settings; {size}"),
        _row("memory of it", 2.0, peak_gb, "GB", "measured with tracemalloc", f"baseline: the aim; {size}"),
    ]


def _row(name: str, baseline: float, ours: float, unit: str, how: str, notes: str) -> dict[str, Any]:
    ratio = ours / baseline
    return {"name": name, "baseline": baseline, "ours": ours, "ratio": ratio, "unit": unit, "how": how, "notes": notes}


def _one(setting: NDArray[np.float64], evidence: Evidence) -> float:
    taken = exits_taken(evidence.score, setting)
    right, last = evidence.correct[taken, np.arange(evidence.rows)], evidence.correct[-1]
    worse, better = int((~right & last).sum()), int((right & ~last).sum())
    signed_p_value(worse, better, evidence.rows, LIMIT, DELTA)
    return (worse - better) / evidence.rows


def _evidence(rows: int, seed: int) -> Evidence:
    draw = np.random.default_rng(seed)
    hard = draw.random(rows)
    chance = np.stack([1 - 0.9 * hard, 1 - 0.6 * hard, 1 - 0.45 * hard, 1 - 0.4 * hard])
    score = np.clip(chance[:3] + draw.normal(0, 0.05, (3, rows)), 0, 1).astype(np.float32)
    return Evidence(score, draw.random((4, rows)) < chance)
