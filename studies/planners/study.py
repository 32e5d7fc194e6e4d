"""Every planner on every committed cascade and five networks, normalised to offramp's joint search."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from offramp.planning.objective import Objective
from studies.planners.cases import Case, Skipped, cases
from studies.planners.contest import OURS, SPLITS, Entry, contest
from studies.planners.networks import NETWORKS
from studies.row import StudyRow

__all__ = ["study"]

ACCURACY_LOSS = 0.01
#: the same latency, but for rounding
TIE = 1e-9

TABLES = (
    "replayed: mean latency of the exits taken, from a profile measured on one machine; device declared 20 times "
    "slower, edge 4 times, links as in networks.py; the same records, temperatures and lossless codecs for all"
)


def study() -> Iterator[StudyRow]:
    """Every row of the study; cascades without profile, tune or calibrate rows are left out, with the reason."""
    objective = Objective(accuracy_loss=ACCURACY_LOSS)
    entries: list[Entry] = []
    for case in cases():
        if isinstance(case, Skipped):
            yield StudyRow(f"{case.name}: left out", None, 0.0, "cells", case.reason)
            continue
        for network in NETWORKS:
            cell = list(contest(case, network, objective))
            entries += cell
            yield from _cell(case, cell)
    yield from _summary(entries)


def _cell(case: Case, cell: Sequence[Entry]) -> Iterator[StudyRow]:
    """Ours in milliseconds, everybody else in multiples of ours, on the rows that planners choose with."""
    ours = next(entry for entry in cell if entry.planner == OURS)
    rows = f"{len(case.records.on('tune')):,} tune rows of {case.name}"
    how = f"{TABLES}; {rows}"
    yield StudyRow(f"{ours.where}: {OURS}", None, 1e3 * ours.latency_s["tune"], "ms", how)
    for entry in cell:
        if entry.planner == OURS:
            continue
        if entry.plan is None:
            yield StudyRow(f"{entry.where}: {entry.planner} infeasible", None, 0.0, "x", entry.reason)
            continue
        ratio = entry.latency_s["tune"] / ours.latency_s["tune"]
        claim = f"{how}; holds: at least 1"
        yield StudyRow(f"{entry.where}: {entry.planner} / {OURS}", None, ratio, "x", claim, ratio >= 1 - TIE)


def _summary(entries: Sequence[Entry]) -> Iterator[StudyRow]:
    """Over all cells, planner by planner."""
    ours = {entry.where: entry for entry in entries if entry.planner == OURS}
    rivals = [name for name in dict.fromkeys(entry.planner for entry in entries) if name != OURS]
    tied: dict[str, set[str]] = {}
    for name in rivals:
        feasible = [entry for entry in entries if entry.planner == name and entry.plan is not None]
        if not feasible:
            continue
        ratios = {
            split: [entry.latency_s[split] / ours[entry.where].latency_s[split] for entry in feasible]
            for split in SPLITS
        }
        ties = {entry.where for entry, ratio in zip(feasible, ratios["tune"], strict=True) if ratio <= 1 + TIE}
        tied[name] = ties
        how = f"{TABLES}; over the {len(feasible)} cells of cascade and network where it has a plan"
        yield StudyRow(f"{name} / {OURS}: ties", None, float(len(ties)), "cells", f"{how}; tune rows")
        for split in SPLITS:
            yield StudyRow(f"{name} / {OURS}: median, {split} rows", None, median(ratios[split]), "x", how)
        yield StudyRow(f"{name} / {OURS}: largest", None, max(ratios["tune"]), "x", f"{how}; tune rows")
        faster = sum(ratio < 1 - TIE for ratio in ratios["test"])
        note = f"{how}; test rows, which chose nothing: the gates that were the fastest on tune rows need not be here"
        yield StudyRow(f"{name} / {OURS}: faster", None, float(faster), "cells", note)
    for name in (OURS, *rivals):
        losses = [entry.loss["test"] for entry in entries if entry.planner == name and entry.plan is not None]
        if losses:
            note = f"{TABLES}; test rows; at most {100 * ACCURACY_LOSS:g} point was allowed on the tune rows"
            yield StudyRow(f"{name}: largest accuracy loss", None, 100 * max(losses), "points", note)
    how = f"{TABLES}; tune rows; {len(ours)} cells of cascade and network"
    published = set().union(*(ties for name, ties in tied.items() if not name.endswith("-only")))
    alone = set().union(*(ties for name, ties in tied.items() if name.endswith("-only")))
    yield StudyRow("offramp ties with a published planner", None, float(len(published)), "cells", how)
    gates = f"{how}; device-only, edge-only and cloud-only have the joint search's own gates"
    yield StudyRow("offramp ties with everything on one tier", None, float(len(alone)), "cells", gates)
    several = sum(len(set(entry.plan.placement)) > 1 for entry in ours.values() if entry.plan is not None)
    yield StudyRow("offramp's plan uses more than one tier", None, float(several), "cells", how)
    without = sum(len(entry.latency_s) > 0 and entry.where not in published for entry in ours.values())
    yield StudyRow("offramp is faster than every published planner", None, float(without), "cells", how)
