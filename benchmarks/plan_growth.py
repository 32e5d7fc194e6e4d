"""How seconds of a full search and of a re-plan grow with segments, tiers and gate settings."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from benchmarks.plan_case import CODECS, PlanCase, all_codecs
from benchmarks.plan_search import LOSS, find
from benchmarks.timed import timed
from offramp.planning.costs import all_placements
from offramp.planning.objective import Objective
from offramp.planning.replanner import Replanner
from offramp.planning.result import SearchResult

__all__ = ["growth_rows"]

PASSES = 5
LABELS = {"segments": "segments", "tiers": "tiers", "settings": "settings on the grid"}
BASE = {"segments": 50, "tiers": 3, "settings": 100_000}
SIZES = {
    "segments": (10, 20, 50, 100, 200),
    "tiers": (2, 3, 4),
    "settings": (1_000, 10_000, 100_000, 1_000_000),
}
QUICK_BASE = {"segments": 6, "tiers": 3, "settings": 1_000}
QUICK_SIZES = {"segments": (6, 8), "tiers": (2, 3), "settings": (1_000, 2_000)}


def growth_rows(quick: bool) -> list[dict[str, Any]]:
    """One thing grows, the others stay at 50 segments, 3 tiers and at most 100,000 gate settings on the grid.

    The baseline is the time at that size, so ``ratio`` says how much more, or less, another size takes.
    """
    base, sizes = (QUICK_BASE, QUICK_SIZES) if quick else (BASE, SIZES)
    repeats, networks = (1, 20) if quick else (5, 1_000)
    at_base = _seconds(base, repeats, networks)
    rows = []
    for what, values in sizes.items():
        for value in values:
            size = base | {what: value}
            found = at_base if size == base else _seconds(size, repeats, networks)
            for index, job in enumerate(("full search", "re-plan")):
                rows.append(
                    _row(f"{job}, {value:,} {LABELS[what]}", at_base[0][index], found[0][index], repeats, found[1])
                )
    return rows


def _seconds(size: dict[str, int], repeats: int, networks: int) -> tuple[tuple[float, float], str]:
    """Of a full search and of a re-plan, and what the problem was."""
    case = PlanCase.of(size["segments"], size["tiers"])
    search_s, found = timed(lambda: find(case, size["settings"], alternatives=0), repeats)
    begin = time.perf_counter()
    with all_codecs():
        replanner = Replanner(
            list(case.records),
            case.profiles,
            case.network,
            Objective(accuracy_loss=LOSS),
            temperatures=case.temperatures,
            max_settings=size["settings"],
        )
    prepare_s = time.perf_counter() - begin
    placements, settings = len(all_placements(size["segments"], size["tiers"])), _settings(found)
    notes = (
        f"{size['segments']} segments, {size['tiers']} tiers, {placements} placements, {settings} gate settings of "
        f"each of {len(case.records)} precisions, {len(CODECS)} codecs; {len(replanner)} pairs prepared for re-plans "
        f"in {prepare_s:.2f} s"
    )
    return (search_s, _replan_s(replanner, networks)), notes


def _settings(found: SearchResult) -> int:
    return 0 if found.plan.evidence is None else found.plan.evidence.settings


def _replan_s(replanner: Replanner, networks: int) -> float:
    """Median over networks drawn at random, as in ``replan``: for each that of passes over all of them."""
    rng, links = np.random.default_rng(1), len(replanner.network.links)
    asked = [
        ((10 ** rng.uniform(5, 9, links)).tolist(), (10 ** rng.uniform(-4, 0, links)).tolist(), loads.tolist())
        for loads in rng.uniform(1, 4, (networks, links + 1))
    ]
    seconds = np.empty((PASSES, networks))
    for one in seconds:
        for turn, ask in enumerate(asked):
            begin = time.perf_counter()
            replanner.replan(*ask)
            one[turn] = time.perf_counter() - begin
    return float(np.median(np.median(seconds, axis=0)))


def _row(name: str, base_s: float, ours_s: float, repeats: int, notes: str) -> dict[str, Any]:
    return {
        "name": name,
        "baseline": base_s,
        "ours": ours_s,
        "ratio": ours_s / base_s,
        "unit": "s",
        "how": f"measured: search the median of {repeats}, re-plan the median over networks of that of 5 passes",
        "notes": f"{notes}. Baseline: the same at the usual size",
    }
