"""The scan over placements and single thresholds that SPINN and HAPI share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.one_threshold import OneThreshold
from offramp.confidence.settings import TINY
from offramp.planning.plan import Plan
from offramp.planning.published.space import Space
from offramp.records.confidences import confidences

__all__ = ["GOALS", "best_threshold"]

Floats = NDArray[np.float64]

#: what a threshold and a placement can be chosen for
GOALS = ("latency", "accuracy", "server", "bytes")
#: differences below these do not count
_DIGITS = 12


def best_threshold(
    space: Space, planner: str, goals: Sequence[str], subsets: Sequence[Sequence[bool]] | None = None
) -> Plan:
    """The plan that is best in the first goal, among those equal in the next, and so on; earlier rows first.

    Parameters
    ----------
    goals : some of `GOALS`: expected seconds, accuracy, expected seconds of the last tier, and expected bytes that
    leave
        the first
    subsets : which exits may be on, as for `OneThreshold.of`; default every subset

    Raises
    ------
    PlanInfeasible : no threshold is accurate enough and in time
    """
    keys: list[Floats] = [np.empty((len(goals), 0))]
    where: list[NDArray[np.intp]] = [np.empty((3, 0), np.intp)]
    scans = []
    for which, records in enumerate(space.records):
        tune = records.on("tune")
        found = OneThreshold.of(confidences(tune, space.temperatures), tune.correct, subsets)
        scans.append(found)
        rows = np.flatnonzero(space.variant == which)
        kept = found.useful[found.accuracy[found.useful] >= space.least_accuracy]
        share = found.share[kept].T
        values = {
            "latency": space.cost_s[rows] @ share,
            "accuracy": np.tile(-found.accuracy[kept], (len(rows), 1)),
            "server": space.term_s(f"compute:{space.network.tier_names[-1]}")[rows] @ share,
            "bytes": space.sent_bytes[rows] @ share,
        }
        row, setting = np.nonzero(_in_time(space, space.cost_s[rows], share))
        keys.append(np.stack([np.round(values[goal][row, setting], _DIGITS) for goal in goals]))
        where.append(np.stack([rows[row], kept[setting], np.full(len(row), which)]))
    order = np.lexsort(np.concatenate(keys, axis=1)[::-1])
    if not len(order):
        raise space.infeasible(planner, space.cost_s[:, 0])
    best, setting_, which = np.concatenate(where, axis=1)[:, order[0]].tolist()
    thresholds = scans[which].thresholds_of(np.array([setting_]))[0]
    settings = sum(len(scan) for scan in scans)
    return space.plan(best, [None if t == np.inf else t for t in thresholds.tolist()], planner, settings)


def _in_time(space: Space, cost_s: Floats, share: Floats) -> NDArray[np.bool_]:
    """(R, m) whether few enough of the rows are late; shares (E, m)."""
    objective = space.objective
    late = np.zeros(cost_s.shape) if objective.deadline_s is None else 1.0 * (cost_s > objective.deadline_s + TINY)
    return np.asarray(late @ share <= 1.0 - objective.deadline_quantile + TINY)
