"""Planning at size: a full search, a minimum cut and replays in virtual time, and how searches and re-plans grow.

The problems are made up from a seed; see ``plan_case``. The search, the counting of gate settings and the replays are
compared with what they are measured against, or the benchmark fails. Re-plans for a new network have their own
benchmark, ``replan``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.plan_case import PlanCase
from benchmarks.plan_growth import growth_rows
from benchmarks.plan_min_cut import min_cut_rows
from benchmarks.plan_replay import replay_rows
from benchmarks.plan_search import search_rows
from benchmarks.timed import timed
from offramp.confidence.settings import GateSettings, exits_taken
from offramp.records.confidences import confidences
from offramp.records.records import Records

__all__ = ["run"]

Floats = NDArray[np.float64]


def run(quick: bool) -> list[dict[str, Any]]:
    """Rows of every part; ``notes`` say what the baseline is.

    Parameters
    ----------
    quick : small problems and few repeats
    """
    return [_settings_row(quick), *search_rows(quick), *min_cut_rows(quick), *replay_rows(quick), *growth_rows(quick)]


def _settings_row(quick: bool) -> dict[str, Any]:
    most, repeats = (2_000, 1) if quick else (100_000, 5)
    case = PlanCase.of(segments=8, exits=4, variants=1)
    tune = case.records[0].on("tune")
    confidence = confidences(tune, case.temperatures)
    ours_s, settings = timed(lambda: GateSettings.build(confidence, tune.correct, most), repeats)
    loop_s, (share, accuracy) = timed(lambda: _one_by_one(confidence, tune, settings.thresholds), 1)
    if not (np.array_equal(settings.share, share) and np.allclose(settings.accuracy, accuracy, rtol=0, atol=1e-12)):
        raise RuntimeError("the table of gate settings differs from the loop")
    return {
        "name": "gate settings table / loop",
        "baseline": loop_s,
        "ours": ours_s,
        "ratio": ours_s / loop_s,
        "unit": "s",
        "how": f"measured: baseline once, ours the median of {repeats}",
        "notes": f"{len(settings)} settings of 4 exits, {len(tune)} rows. Baseline: one setting after the other",
    }


def _one_by_one(confidence: NDArray[np.float32], tune: Records, thresholds: Floats) -> tuple[Floats, Floats]:
    correct, rows = tune.correct, np.arange(len(tune))
    share, accuracy = np.empty((len(thresholds), tune.exits)), np.empty(len(thresholds))
    for index, setting in enumerate(thresholds):
        taken = exits_taken(confidence, setting)
        share[index] = np.bincount(taken, minlength=tune.exits) / len(tune)
        accuracy[index] = correct[taken, rows].mean()
    return share, accuracy
