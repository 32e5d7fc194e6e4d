"""Edgent's on-demand co-inference: five exits on CIFAR-10, steady and moving links, and what offramp adds."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import asdict

import numpy as np

from offramp.errors import ConfigError
from offramp.planning.costs import cost_table
from offramp.planning.published.edgent import edge_front
from studies.edgent import dynamic
from studies.edgent.moving import SETS, load_traces, tuning
from studies.edgent.static import BANDWIDTHS_BPS, DEADLINES_S, SYSTEMS, Grid, exhaustive, grid
from studies.edgent.tables import DEVICE_S, Tables, load_tables
from studies.row import StudyRow

__all__ = ["study"]

CELLS = f"{len(BANDWIDTHS_BPS)} bandwidths x {len(DEADLINES_S)} deadlines"
FLOATS = "the image sent as 32-bit floats, as published"
BYTES = "the image sent as the bytes it has"


def study() -> Iterator[StudyRow]:
    """Every row of the study.

    Raises
    ------
    RecordMismatch : records are missing or of another build than the profile
    ConfigError : the profile or the dynamic outcomes are missing
    """
    tables = load_tables()
    floats = tables.of_floats()
    yield from _ends(tables, floats)
    cells = BANDWIDTHS_BPS, DEADLINES_S
    grids = {name: grid(tables, name, *cells) for name in SYSTEMS}
    as_floats = {name: grid(floats, name, *cells) for name in SYSTEMS if name != "offramp"}
    yield from _edgent(floats, as_floats["edgent"], FLOATS)
    yield from _edgent(tables, grids["edgent"], BYTES)
    yield from _met(as_floats, grids)
    yield from _against(grids["offramp"], as_floats["edgent"], "Edgent as published")
    yield from _against(grids["offramp"], grids["edgent"], "Edgent on bytes")
    yield from _dynamic(tables)


def _ends(tables: Tables, floats: Tables) -> Iterator[StudyRow]:
    how = f"replayed on the {len(tables.test):,} test rows of CIFAR-10 (JPEG)"
    for name, accuracy in zip(tables.records.exit_names, tables.test.correct.mean(1).tolist(), strict=True):
        yield StudyRow(f"test accuracy, exit {name}", None, 100 * accuracy, "%", how)
    modelled = f"modelled: segments measured here, the device slowed {tables.profiles['device'].slow_down:.0f} x"
    device = cost_table(tables.profiles, tables.network(1e6), "raw", tables.records.exits).cost_s[0, -1]
    how = f"{modelled}, declared so that it takes {DEVICE_S:g} s; published: more than 2 s"
    yield StudyRow("device-only, all layers", 2.0, float(device), "s", how)
    for rate, published in ((1e6, 0.123), (5e4, 2.317)):
        table = cost_table(floats.profiles, floats.network(rate), "raw", floats.records.exits)
        row = StudyRow(
            f"edge-only at {rate / 1e3:g} kbit/s", published, float(table.cost_s[-1, -1]), "s", f"{modelled}; {FLOATS}"
        )
        yield row
    front = edge_front(floats.profiles, floats.network(1e6), floats.records.exits)
    yield StudyRow(
        "the paper's own layout (edge first) at 1000 kbit/s, best cut of the last exit",
        None,
        float(front.latency_s[-1].min()),
        "s",
        f"{modelled}; {FLOATS}",
    )


def _edgent(tables: Tables, cells: Grid, sent: str) -> Iterator[StudyRow]:
    """Our Edgent against a search of all it knows, and the shape the paper shows."""
    equal, on = 0, "" if sent == FLOATS else " on bytes"
    for (rate, deadline_s), cell in cells.items():
        best = exhaustive(cost_table(tables.profiles, tables.network(rate), "raw", tables.records.exits), deadline_s)
        found = None if cell is None else (cell.exit, cell.longest_s)
        equal += found == best or (None not in (found, best) and np.allclose(found, best))  # type: ignore[arg-type]  # pairs
    how = f"modelled on {CELLS}; {sent}"
    all_of = f"{how}; holds: all cells"
    yield StudyRow(
        f"Edgent{on} = exhaustive optimum of exit and cut", None, equal, "cells", all_of, equal == len(cells)
    )
    back = sum(
        _depth(cells[after, deadline_s]) < _depth(cells[before, deadline_s])
        for deadline_s in DEADLINES_S
        for before, after in itertools.pairwise(BANDWIDTHS_BPS)
    )
    none = f"{how}; holds: none"
    yield StudyRow(f"Edgent{on}: a shallower exit as bandwidth grows", 0, back, "cells", none, back == 0)
    exits = {cell.exit for cell in cells.values() if cell}
    yield StudyRow(f"Edgent{on}: different exits chosen", None, len(exits), "exits", how)
    inner = sum(0 < cell.cut < len(tables.records.exit_names) for cell in cells.values() if cell)
    yield StudyRow(f"Edgent{on}: cells with a cut between the ends", None, inner, "cells", how)
    for deadline_s in (0.2, 0.3):
        last = len(tables.records.exit_names) - 1
        first = min((rate for rate in BANDWIDTHS_BPS if _depth(cells[rate, deadline_s]) == last), default=float("nan"))
        published = 450.0 if sent == FLOATS else None
        note = f"{how}; published: about 400 to 500 for 200 to 300 ms" if published else how
        if np.isfinite(first):
            name = f"Edgent{on}: least bandwidth for {1e3 * deadline_s:.0f} ms with the last exit"
            yield StudyRow(name, published, first / 1e3, "kbit/s", note)


def _depth(cell: object) -> int:
    return -1 if cell is None else int(getattr(cell, "exit", -1))


def _met(as_floats: dict[str, Grid], grids: dict[str, Grid]) -> Iterator[StudyRow]:
    for sent, on, systems in ((FLOATS, "", as_floats), (BYTES, " on bytes", grids)):
        for name, cells in systems.items():
            met = sum(cell is not None for cell in cells.values())
            how = f"modelled on {CELLS}; {sent}"
            yield StudyRow(f"deadlines met{on}, {name}", None, 100 * met / len(cells), "%", how)


def _against(ours: Grid, theirs: Grid, name: str) -> Iterator[StudyRow]:
    """offramp's cells against Edgent's."""
    how = f"modelled on {CELLS}, accuracy replayed on test rows; {name}"
    lost = sum(ours[key] is None for key, cell in theirs.items() if cell)
    yield StudyRow(f"met by {name}, not by offramp", None, lost, "cells", f"{how}; holds: none", lost == 0)
    more = sum(theirs[key] is None for key, cell in ours.items() if cell)
    yield StudyRow(f"met by offramp, not by {name}", None, more, "cells", f"{how}; holds: some", more > 0)
    pairs = [(mine, cell) for key, cell in theirs.items() if cell and (mine := ours[key])]
    gain = 100 * np.array([mine.accuracy - cell.accuracy for mine, cell in pairs])
    lower = int((gain < 0).sum())
    yield StudyRow(f"less accurate than {name}", None, lower, "cells", f"{how}; holds: none", lower == 0)
    for what, value in (("mean", gain.mean()), ("worst", gain.min()), ("best", gain.max())):
        yield StudyRow(f"accuracy above {name}, {what}", None, float(value), "points", how)
    ratio = float(np.mean([mine.mean_s / cell.mean_s for mine, cell in pairs]))
    yield StudyRow(f"mean latency / {name}, mean of cells", None, ratio, "x", how)


def _dynamic(tables: Tables) -> Iterator[StudyRow]:
    stored = dynamic.load_stored()
    if stored.cascade_fingerprint != tables.records.provenance.cascade_fingerprint:
        raise ConfigError("studies/edgent/dynamic.json is of another build; run 'python -m studies.edgent.dynamic'")
    for deadline_s in dynamic.DEADLINES_S:
        found = {
            system: dynamic.total(stored.outcomes[name, deadline_s, system] for name in SETS)
            for system in dynamic.SYSTEMS
        }
        yield from _claims(found, f"moving, {1e3 * deadline_s:.0f} ms", f"{stored.how}; {' and '.join(SETS)}")
    yield from _again(tables, stored)


def _claims(found: dict[str, dynamic.Outcome], where: str, how: str) -> Iterator[StudyRow]:
    for system, outcome in found.items():
        yield StudyRow(f"{where}: late, {system}", None, 100 * outcome.miss_rate, "%", how)
        accuracy = f"{where}: accuracy, late answers too, {system}"
        yield StudyRow(accuracy, None, 100 * outcome.accuracy, "%", how)
        in_time = 100 * outcome.right_in_time / outcome.samples
        yield StudyRow(f"{where}: right and in time, {system}", None, in_time, "%", how)
        yield StudyRow(f"{where}: mean latency, {system}", None, 1e3 * outcome.mean_latency_s, "ms", how)
    degraded = 100 * found["offramp"].degraded / found["offramp"].samples
    yield StudyRow(f"{where}: answered by the device instead, offramp", None, degraded, "%", how)
    for end in (", waits", ""):
        ours = found[f"offramp{end}"]
        for other in ("Edgent dynamic", "Edgent dynamic, bytes"):
            yield from _compare(ours, found[other], where, f"offramp{end}", other, how)
        slower = ours.mean_latency_s / found[f"clairvoyant{end}"].mean_latency_s
        name = f"{where}: mean latency, offramp{end} / clairvoyant{end}"
        yield StudyRow(name, None, slower, "x", f"{how}; holds: within 10 %", slower <= 1.1)


def _compare(
    ours: dynamic.Outcome, other: dynamic.Outcome, where: str, name: str, rival: str, how: str
) -> Iterator[StudyRow]:
    ratio = ours.late / other.late if other.late else float(ours.late > 0)
    half = f"{how}; holds: at most half"
    yield StudyRow(f"{where}: late, {name} / {rival}", None, ratio, "x", half, ours.late <= other.late / 2)
    for what, mine, its in (
        ("accuracy, late answers too", ours.right, other.right),
        ("right and in time", ours.right_in_time, other.right_in_time),
    ):
        gain = 100 * (mine / ours.samples - its / other.samples)
        claim = f"{how}; holds: not lower"
        yield StudyRow(f"{where}: {what}, {name} - {rival}", None, gain, "points", claim, gain >= 0)


def _again(tables: Tables, stored: dynamic.Stored) -> Iterator[StudyRow]:
    """The shortest traces once more, where they are at hand."""
    traces = load_traces(SETS[-1])
    if not traces:
        return
    few = dynamic.shortest([trace for trace in traces if trace not in tuning(traces)])
    same = 0
    for system, outcome in dynamic.run(tables, few, dynamic.DEADLINES_S[-1]):
        same += np.allclose(list(asdict(outcome).values()), list(asdict(stored.check[system]).values()), rtol=1e-6)
    how = f"simulated again on {' and '.join(trace.name for trace in few)}, found in OFFRAMP_DATA; holds: all"
    yield StudyRow("stored outcomes found again", None, same, "systems", how, same == len(dynamic.SYSTEMS))
