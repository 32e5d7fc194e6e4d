"""Mean latency of every placement under every useful gate setting: one matrix product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.settings import TINY, GateSettings
from offramp.planning.costs import CostTable
from offramp.planning.objective import Objective
from offramp.planning.pareto import pareto_front, undominated_rows

__all__ = ["NONE", "Choices", "Scores", "fast_enough", "front", "score"]

Floats = NDArray[np.float64]
Index = NDArray[np.intp]

#: setting of a placement that meets the constraints with none
NONE = -1
_CHUNK = 4_000_000


@dataclass(frozen=True)
class Choices:
    """R pairs of codec and placement: row r is ``placement[r]`` of ``tables[table[r]]``.

    A placement that never leaves the first tier appears once, with the first codec.
    """

    tables: tuple[CostTable, ...]
    table: Index
    placement: Index

    @classmethod
    def of(cls, tables: Sequence[CostTable]) -> Choices:
        """All pairs, codec by codec."""
        rows = [
            (which, placement)
            for which, table in enumerate(tables)
            for placement in range(len(table.placements))
            if which == 0 or table.placements[placement, -1] > 0
        ]
        both = np.array(rows, np.intp).reshape(-1, 2)
        return cls(tuple(tables), both[:, 0], both[:, 1])

    def __len__(self) -> int:
        return len(self.table)

    @property
    def cost_s(self) -> Floats:
        """(R, E) seconds."""
        return np.stack([t.cost_s for t in self.tables])[self.table, self.placement]

    @property
    def tiers(self) -> NDArray[np.int64]:
        """(R, S) tier of every segment."""
        return np.asarray(self.tables[0].placements[self.placement])

    def at(self, row: int) -> tuple[CostTable, int]:
        """The table and the row in it."""
        return self.tables[int(self.table[row])], int(self.placement[row])


@dataclass(frozen=True)
class Scores:
    """The best setting of every choice: ``setting`` (R,), `NONE` and infinite ``latency_s`` without one."""

    latency_s: Floats
    accuracy: Floats
    setting: Index

    def ranked(self, choices: Choices) -> Index:
        """Choices that have a setting, best first.

        Ties go to the more accurate, then to fewer tiers, the earlier codec and the earlier placement.
        """
        latency = np.round(self.latency_s, 12)
        order = np.lexsort((choices.placement, choices.table, choices.tiers[:, -1], -self.accuracy, latency))
        return order[np.isfinite(latency[order])]


def fast_enough(cost_s: Floats, share: Floats, objective: Objective) -> NDArray[np.bool_]:
    """(R, m) whether the share of the rows that leave by exits beyond the deadline is small enough.

    Parameters
    ----------
    cost_s : (R, E)
    share : (m, E)
    """
    if objective.deadline_s is None:
        return np.ones((len(cost_s), len(share)), bool)
    late = (cost_s > objective.deadline_s + TINY).astype(np.float64) @ share.T
    return np.asarray(late <= 1.0 - objective.deadline_quantile + TINY)


def score(cost_s: Floats, settings: GateSettings, candidates: Index, objective: Objective) -> Scores:
    """Least mean latency of every row of ``cost_s`` over the candidate settings that meet the deadline.

    Parameters
    ----------
    cost_s : (R, E)
    candidates : (m,) settings that are accurate enough
    """
    rows = len(cost_s)
    result = Scores(np.full(rows, np.inf), np.zeros(rows), np.full(rows, NONE, np.intp))
    share, accuracy = settings.share[candidates], settings.accuracy[candidates]
    step = max(1, _CHUNK // max(1, len(candidates)))
    for start in range(0, rows if len(candidates) else 0, step):
        part = slice(start, start + step)
        latency = cost_s[part] @ share.T
        latency[~fast_enough(cost_s[part], share, objective)] = np.inf
        least = latency.min(1)
        tied = latency <= least[:, None] + TINY / 2
        pick = np.where(tied, accuracy, -1.0).argmax(1)
        result.latency_s[part] = least
        result.accuracy[part] = accuracy[pick]
        result.setting[part] = np.where(np.isfinite(least), candidates[pick], NONE)
    return result


def front(choices: Choices, settings: GateSettings, objective: Objective, reach: Index) -> tuple[Floats, Index, Index]:
    """Pareto front of mean latency and accuracy over the choices in reach and all settings in time.

    Returns
    -------
    latency (m,) ascending, row of the choice (m,), setting (m,)
    """
    useful = settings.useful
    share = settings.share[useful]
    least = np.full(len(useful), np.inf)
    chosen = np.full(len(useful), NONE, np.intp)
    cost = choices.cost_s
    for row in reach[undominated_rows(cost[reach])]:
        latency = share @ cost[row]
        if objective.deadline_s is not None:
            latency[~fast_enough(cost[row][None], share, objective)[0]] = np.inf
        better = latency < least
        least[better], chosen[better] = latency[better], row
    points = pareto_front(np.round(least, 12), settings.accuracy[useful])
    points = points[np.isfinite(least[points])]
    return least[points], chosen[points], useful[points]
