"""Mobile, edge and cloud with prefixes of MiniLM: what routing, cascades, bandits and ours save at which loss."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from offramp.confidence.bounds.binomial import rows_needed
from offramp.errors import OfframpError, RecordMismatch
from offramp.profiles.profile import load_profile
from studies.dimee.certifying import DELTA, EPSILONS, Curve, certify_family
from studies.dimee.evidence import TASKS, Task, load_tasks
from studies.dimee.methods import FAMILIES, Paths
from studies.dimee.outcomes import LOSS, Outcome, choose, outcome, traffic_bytes
from studies.dimee.tiers import GRID, MAIN, TIERS, Prices
from studies.exits_vs_oracle.cases import PROFILES
from studies.row import StudyRow

__all__ = ["study"]

CUT, AIM = 43.0, 60.0
OURS = "ours"
#: methods that are also shown at the other prices
AT_ALL_PRICES = ("all edge", "DIMEE", "confidence cascade, features", OURS)


def study(names: tuple[str, ...] = TASKS) -> Iterator[StudyRow]:
    """Every row of the study.

    Raises
    ------
    RecordMismatch : no task has records and routing features
    """
    left_out, ours, certified, tasks = [], {}, {}, []
    for task in load_tasks(names):
        if isinstance(task, str):
            left_out.append(task)
            continue
        families = {n: f for n, f in FAMILIES.items() if task.tune.history is not None or not f.needs_history}
        chosen = {name: choose(family, task, MAIN) for name, family in families.items()}
        found = {name: _paths(task, name, MAIN, chosen[name]) for name in families}
        ours[task.name] = outcome(task.test, found[OURS], MAIN)
        tasks.append(task)
        yield from _main(task, found, chosen)
        yield from _prices(task, chosen)
        curve = certify_family(FAMILIES[OURS], task, MAIN)
        yield from _certified(task, curve)
        if (epsilon := curve.smallest(CUT)) is not None and (got := curve.test[epsilon]) is not None:
            certified[task.name] = got
    if not ours:
        raise RecordMismatch(f"no text task can be studied: {'; '.join(left_out)}")
    yield from _musts(ours, "ours")
    if len(certified) == len(ours):
        yield from _musts(certified, f"ours at the smallest certified loss that cuts more than {CUT:g} %")
    yield from _hindsight(tasks)
    if left_out:
        yield StudyRow("tasks left out", None, len(left_out), "tasks", "; ".join(left_out))


def _paths(task: Task, name: str, prices: Prices, trade_off: float) -> Paths:
    return FAMILIES[name].use(task.tune, task.test, prices, trade_off)


def _how(task: Task, prices: Prices) -> str:
    return (
        f"replayed on {len(task.test):,} test rows; a layer costs 1, to the edge {prices.edge:g}, to the cloud "
        f"{prices.cloud:g}; against all cloud, {prices.all_cloud:g}; fitted on {len(task.tune):,} tune rows, the "
        f"trade-off that saves most of those that lose at most {LOSS:g} points there (five-fold)"
    )


def _main(task: Task, found: dict[str, Paths], chosen: dict[str, float]) -> Iterator[StudyRow]:
    how, latency_s = _how(task, MAIN), _latency_s(task)
    for name, paths in found.items():
        got = outcome(task.test, paths, MAIN)
        published = (CUT, LOSS) if name == "DIMEE" else (CUT, 0.5) if name.startswith("DIMEC") else (None, None)
        detail = f"{how}; trade-off {chosen[name]:g}, standard error of the loss {got.loss_error:.2f}"
        yield StudyRow(f"{task.name}, {name}: cost cut", published[0], got.cut, "%", detail)
        yield StudyRow(f"{task.name}, {name}: accuracy lost", published[1], got.loss, "points", detail)
        shipped = float(traffic_bytes(task.test, paths).mean())
        yield StudyRow(
            f"{task.name}, {name}: bytes up", None, shipped, "B", "counted: ids or hidden states, fp32, mean"
        )
        if latency_s is not None:
            spent = float(_computed(paths, latency_s).mean())
            modelled = "modelled: exits taken, times measured medians of the segments on one core, batch 1; no links"
            yield StudyRow(f"{task.name}, {name}: computing", None, 1000 * spent, "ms", modelled)


def _latency_s(task: Task) -> np.ndarray[tuple[int], np.dtype[np.float64]] | None:
    """(6,) up to each exit, where a profile of this very build is there."""
    try:
        profile = load_profile(PROFILES / f"{task.name}.json")
        task.test.records.require(profile.cascade_fingerprint)
    except (OfframpError, OSError):
        return None
    return np.cumsum([segment.median_s for segment in profile.segments])


def _computed(
    paths: Paths, latency_s: np.ndarray[tuple[int], np.dtype[np.float64]]
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """(n,) seconds, with the prefixes that are computed again."""
    spent = latency_s[paths.exit]
    if paths.hand_over == "input":
        for tier, last in enumerate(TIERS[:-1]):
            spent = spent + np.where((paths.begin <= tier) & (paths.exit > last), latency_s[last], 0.0)
    return spent


def _prices(task: Task, chosen: dict[str, float]) -> Iterator[StudyRow]:
    for prices in GRID:
        if prices == MAIN:
            continue
        how = _how(task, prices) + " at the main prices; the shadow price of a layer stays"
        for name in AT_ALL_PRICES:
            got = outcome(task.test, _paths(task, name, prices, chosen[name]), prices)
            where = f"{task.name}, to the edge {prices.edge:g}, to the cloud {prices.cloud:g}, {name}"
            yield StudyRow(f"{where}: cost cut", None, got.cut, "%", how)
            yield StudyRow(f"{where}: accuracy lost", None, got.loss, "points", how)


def _certified(task: Task, curve: Curve) -> Iterator[StudyRow]:
    how = (
        f"certified on {curve.rows:,} calibrate rows at {100 * (1 - DELTA):g} %, the cheapest certified member of "
        "ours; 0: nothing is certified"
    )
    floor = next(e for e in np.arange(1, 1000) / 10_000 if rows_needed(float(e), DELTA) <= curve.rows)
    yield StudyRow(
        f"{task.name}: smallest loss so many rows can ever certify", None, 100 * float(floor), "points",
        f"computed: {curve.rows:,} rows without a single mistake more",
    )  # fmt: skip
    for epsilon in EPSILONS:
        got, test = curve.calibrate[epsilon], curve.test[epsilon]
        title = f"{task.name}, loss of {100 * epsilon:g} points certified"
        yield StudyRow(f"{title}: cost cut", None, got.cut if got else 0.0, "%", how)
        if got and test:
            yield StudyRow(f"{title}: cost cut on test rows", None, test.cut, "%", how)
            yield StudyRow(f"{title}: accuracy lost on test rows", None, test.loss, "points", how)
    if (reached := curve.smallest(CUT)) is not None:
        title = f"{task.name}: smallest certified loss that cuts more than {CUT:g} %"
        yield StudyRow(title, None, 100 * reached, "points", how)


def _hindsight(tasks: list[Task]) -> Iterator[StudyRow]:
    """What each family could do if somebody knew the test rows: one trade-off for all tasks."""
    for name in ("DIMEE", "confidence cascade, features", OURS):
        means = []
        for trade_off in FAMILIES[name].trade_offs:
            got = [outcome(task.test, _paths(task, name, MAIN, trade_off), MAIN) for task in tasks]
            means.append((float(np.mean([g.cut for g in got])), float(np.mean([g.loss for g in got])), trade_off))
        cut, loss, trade_off = max([m for m in means if m[1] < LOSS] or [min(means, key=lambda m: m[1])])
        how = (
            f"in hindsight: one trade-off for all tasks ({trade_off:g}), the cheapest whose mean loss on the test rows "
            f"is below {LOSS:g} points, else the one that loses least (lost: {loss:.2f}); claims nothing"
        )
        yield StudyRow(f"mean of {len(tasks)} tasks in hindsight, {name}: cost cut", None, cut, "%", how)


def _musts(ours: dict[str, Outcome], who: str) -> Iterator[StudyRow]:
    cut, loss = (float(np.mean([getattr(got, name) for got in ours.values()])) for name in ("cut", "loss"))
    cases = {f"mean of {', '.join(ours)}": (cut, loss)}
    cases |= {name: (got.cut, got.loss) for name, got in ours.items()}
    for name, (saved, lost) in cases.items():
        for goal, word in ((CUT, "must"), (AIM, "aim")):
            how = f"holds: cut above {goal:g} % at a loss below {LOSS:g} points, test rows (lost: {lost:.2f})"
            yield StudyRow(f"{name}, {who}, {word}: cost cut", CUT, saved, "%", how, saved > goal and lost < LOSS)
