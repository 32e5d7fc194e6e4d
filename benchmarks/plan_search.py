"""The exact search against NumPy products over everything, and against a mixed-integer programme."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_matrix, csr_matrix, hstack, identity, kron, vstack

from benchmarks.plan_case import CODECS, PlanCase, all_codecs
from benchmarks.timed import timed
from offramp.confidence.settings import TINY, GateSettings
from offramp.planning.costs import CostTable
from offramp.planning.objective import Objective
from offramp.planning.problem import prepare
from offramp.planning.result import SearchResult
from offramp.planning.search import search

__all__ = ["LOSS", "find", "search_rows"]

Floats = NDArray[np.float64]
LOSS = 0.01


def search_rows(quick: bool) -> list[dict[str, Any]]:
    """Full search, against the products and the programme; every answer is compared with theirs."""
    if quick:
        return [_against_products(8, 2_000, 1), _against_milp(4, 3, 16, 1)]
    return [_against_products(50, 100_000, 5), _against_milp(8, 4, 1_000, 5), _against_milp(20, 4, 1_000, 5)]


def find(case: PlanCase, most: int, **options: Any) -> SearchResult:
    """A full search as a planner makes it."""
    goal = Objective(accuracy_loss=LOSS)
    with all_codecs():
        return search(
            list(case.records),
            case.profiles,
            case.network,
            goal,
            temperatures=case.temperatures,
            max_settings=most,
            **options,
        )


def _against_products(segments: int, most: int, repeats: int) -> dict[str, Any]:
    """All codecs, both precisions."""
    case = PlanCase.of(segments)
    with all_codecs():
        problem = prepare(
            list(case.records), case.profiles, case.network, temperatures=case.temperatures, max_settings=most
        )
    settings = [variant.settings for variant in problem.variants]
    last = settings[0].accuracy_last_exit
    of_variant = [
        [table for which, table in enumerate(problem.choices.tables) if which // len(CODECS) == v]
        for v in range(len(settings))
    ]
    brute_s, least = timed(lambda: _products(of_variant, settings, last), 1)
    search_s, found = timed(lambda: find(case, most), repeats)
    _same("the search", _least(case, found), "the products", least)
    counts = sum(len(one) for one in settings)
    placements = len(problem.choices.tables[0].placements)
    return {
        "name": "full search / NumPy brute force",
        "baseline": brute_s,
        "ours": search_s,
        "ratio": search_s / brute_s,
        "unit": "s",
        "how": f"measured: baseline once, ours the median of {repeats}",
        "notes": f"{segments} segments on 3 tiers ({placements} placements), 5 exits, {len(CODECS)} codecs, 2 "
        f"precisions, {counts} gate settings of both, {settings[0].rows} rows. Baseline: costs times shares in blocks, "
        "from tables of costs and settings made before; ours makes them, predicts, explains and draws the front",
    }


def _products(tables: list[list[CostTable]], settings: list[GateSettings], last: float) -> float:
    """The least mean latency over every placement, codec, variant and setting that is accurate enough."""
    least = np.inf
    for of_variant, one in zip(tables, settings, strict=True):
        too_wrong = last - one.accuracy > LOSS + TINY
        share = np.ascontiguousarray(one.share.T)
        for table in of_variant:
            for cost in np.array_split(table.cost_s, max(1, len(table.cost_s) * len(one) // 4_000_000)):
                latency = cost @ share
                latency[:, too_wrong] = np.inf
                least = min(least, float(latency.min()))
    return least


def _against_milp(segments: int, exits: int, most: int, repeats: int) -> dict[str, Any]:
    """One codec, one precision: the programme chooses one placement and one setting."""
    case = PlanCase.of(segments, exits=exits, rows=1_000, variants=1)
    problem = prepare(
        case.records[0],
        case.profiles,
        case.network,
        temperatures=case.temperatures,
        max_settings=most,
        codecs=["raw"],
    )
    table, settings = problem.choices.tables[0], problem.variants[0].settings
    milp_s, least = timed(lambda: _programme(table, settings), 1)
    search_s, result = timed(lambda: _one_codec(case, most), repeats)
    _same("the search", _least(case, result), "the programme", least)
    return {
        "name": f"full search / scipy MILP ({segments} segments)",
        "baseline": milp_s,
        "ours": search_s,
        "ratio": search_s / milp_s,
        "unit": "s",
        "how": f"measured: baseline once, ours the median of {repeats}",
        "notes": f"{segments} segments on 3 tiers ({len(table.placements)} placements), {exits} exits, one codec and "
        f"precision, {len(settings)} gate settings, {settings.rows} rows. Baseline: HiGHS through scipy.optimize.milp, "
        "from tables made before",
    }


def _one_codec(case: PlanCase, most: int) -> SearchResult:
    goal = Objective(accuracy_loss=LOSS)
    return search(
        case.records[0],
        case.profiles,
        case.network,
        goal,
        temperatures=case.temperatures,
        max_settings=most,
        codecs=["raw"],
    )


def _programme(table: CostTable, settings: GateSettings) -> float:
    """The least mean latency, as a mixed-integer linear programme.

    ``x`` (P,) and ``y`` (G,) are binary and choose one placement and one setting; ``q`` (P, E) is the chosen setting's
    shares in the row of the chosen placement and zero elsewhere, which makes the product of both choices linear.
    """
    count, exits = table.cost_s.shape
    gates = len(settings)
    one_x = csr_matrix(np.hstack([np.ones(count), np.zeros(gates + count * exits)])[None])
    one_y = csr_matrix(np.hstack([np.zeros(count), np.ones(gates), np.zeros(count * exits)])[None])
    row_of_x = hstack([-identity(count), csr_matrix((count, gates)), kron(identity(count), np.ones((1, exits)))])
    shares = hstack(
        [csr_matrix((exits, count)), -coo_matrix(settings.share.T), kron(np.ones((1, count)), identity(exits))]
    )
    right = csr_matrix(np.hstack([np.zeros(count), settings.accuracy, np.zeros(count * exits)])[None])
    low = np.concatenate([[1.0, 1.0], np.zeros(count + exits), [settings.accuracy_last_exit - LOSS - TINY]])
    high = np.concatenate([[1.0, 1.0], np.zeros(count + exits), [np.inf]])
    found = milp(
        np.concatenate([np.zeros(count + gates), table.cost_s.ravel()]),
        integrality=np.concatenate([np.ones(count + gates), np.zeros(count * exits)]),
        bounds=Bounds(0.0, 1.0),
        constraints=LinearConstraint(vstack([one_x, one_y, row_of_x, shares, right]).tocsc(), low, high),
        options={"mip_rel_gap": 0.0},
    )
    if not found.success:
        raise RuntimeError(f"the programme was not solved: {found.message}")
    return float(found.fun)


def _least(case: PlanCase, found: SearchResult) -> float:
    """What the search's optimum comes to on the tune rows."""
    last = float(case.records[0].on("tune").correct[-1].mean())
    return min(point.mean_latency_s for point in found.front if last - point.accuracy <= LOSS + TINY)


def _same(ours: str, found_s: float, theirs: str, least_s: float) -> None:
    if abs(found_s - least_s) > 1e-6 * least_s:
        raise RuntimeError(f"{ours} found {found_s} s, {theirs} {least_s} s")
