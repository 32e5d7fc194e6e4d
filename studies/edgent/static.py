"""Every system at every bandwidth and deadline, on a steady link."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from offramp.errors import PlanInfeasible
from offramp.planning.costs import CostTable, cost_table
from offramp.planning.most_accurate import MostAccurate
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from offramp.planning.published.edgent import Edgent
from offramp.planning.replay import replay
from studies.edgent.tables import Tables

__all__ = ["BANDWIDTHS_BPS", "DEADLINES_S", "SYSTEMS", "Cell", "exhaustive", "grid"]

BANDWIDTHS_BPS = tuple(1e3 * step for step in range(50, 1501, 50))
DEADLINES_S = tuple(step / 10 for step in range(1, 11))

SYSTEMS = ("device-only", "edge-only", "partition-only", "right-sizing-only", "edgent", "offramp")


@dataclass(frozen=True)
class Cell:
    """What a system does at a bandwidth and a deadline.

    ``exit`` is the deepest a sample may leave by, ``cut`` the segments on the device, ``accuracy`` on test rows.
    """

    exit: int
    cut: int
    codec: str
    longest_s: float
    mean_s: float
    accuracy: float


#: by bandwidth and deadline; ``None`` where a system is not in time
Grid = dict[tuple[float, float], Cell | None]


def grid(tables: Tables, system: str, bandwidths_bps: Sequence[float], deadlines_s: Sequence[float]) -> Grid:
    """All cells of a system."""
    if system == "offramp":
        return dict(_offramp(tables, bandwidths_bps, deadlines_s))
    choose = _edgent(tables) if system == "edgent" else _part(tables, system)
    return {(rate, deadline): choose(rate, deadline) for rate in bandwidths_bps for deadline in deadlines_s}


def exhaustive(table: CostTable, deadline_s: float) -> tuple[int, float] | None:
    """Edgent's own optimum by looking at every exit and cut: the deepest exit in time, and its least latency."""
    best = None
    for row in range(len(table.placements)):
        for exit_index in range(len(table.exit_segments)):
            seconds = float(table.cost_s[row, exit_index])
            if seconds <= deadline_s and (best is None or (exit_index, -seconds) > (best[0], -best[1])):
                best = exit_index, seconds
    return best


def _part(tables: Tables, system: str) -> Callable[[float, float], Cell | None]:
    """The systems with less to choose from: the last exit, or the device alone, or one end."""
    accuracy = tables.test.correct.mean(1)

    def choose(bandwidth_bps: float, deadline_s: float) -> Cell | None:
        table = cost_table(tables.profiles, tables.network(bandwidth_bps), "raw", tables.records.exits)
        cost = table.cost_s.copy()
        on_device = (table.placements == 0).sum(1)
        segments = table.placements.shape[1]
        if system in ("device-only", "edge-only", "partition-only"):
            cost[:, :-1] = np.inf
        if system in ("device-only", "right-sizing-only"):
            cost[on_device < segments] = np.inf
        if system == "edge-only":
            cost[on_device > 0] = np.inf
        in_time = np.argwhere(cost <= deadline_s)
        if not len(in_time):
            return None
        row, exit_index = min(in_time.tolist(), key=lambda pair: (-pair[1], cost[pair[0], pair[1]]))
        seconds = float(cost[row, exit_index])
        return Cell(exit_index, int(on_device[row]), "raw", seconds, seconds, float(accuracy[exit_index]))

    return choose


def _edgent(tables: Tables) -> Callable[[float, float], Cell | None]:
    planner = Edgent(codecs=["raw"])

    def choose(bandwidth_bps: float, deadline_s: float) -> Cell | None:
        network = tables.network(bandwidth_bps)
        goal = Objective(accuracy_loss=1.0, deadline_s=deadline_s)
        try:
            plan = planner.plan(tables.records, tables.profiles, network, goal)
        except PlanInfeasible:
            return None
        return _cell(tables, plan, bandwidth_bps)

    return choose


def _offramp(
    tables: Tables, bandwidths_bps: Sequence[float], deadlines_s: Sequence[float]
) -> Iterator[tuple[tuple[float, float], Cell | None]]:
    planner = MostAccurate(
        tables.variants,
        tables.profiles,
        tables.network(bandwidths_bps[0]),
        deadlines_s[0],
        temperatures=tables.temperatures,
    )
    for rate in bandwidths_bps:
        for deadline_s in deadlines_s:
            try:
                plan = planner.plan_of(planner.choose(rate, deadline_s=deadline_s))
            except PlanInfeasible:
                yield (rate, deadline_s), None
                continue
            yield (rate, deadline_s), _cell(tables, plan, rate)


def _cell(tables: Tables, plan: Plan, bandwidth_bps: float) -> Cell:
    network, exits = tables.network(bandwidth_bps), tables.records.exits
    table = cost_table(tables.profiles, network, plan.codec, exits, coded=plan.coded)
    rows = replay(plan, tables.rows_of(plan), table)
    stops = [gate.threshold == 0 for gate in plan.gates]
    deepest = stops.index(True) if any(stops) else len(stops)
    return Cell(
        exit=deepest,
        cut=plan.placement.count("device"),
        codec=plan.codec_at(plan.placement.count("device")),
        longest_s=float(table.cost_s[table.row_of(plan.placement), deepest]),
        mean_s=float(rows.latency_s.mean()),
        accuracy=float(rows.correct.mean()),
    )
