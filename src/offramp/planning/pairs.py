"""Pairs of a choice and a gate setting, as rows of coefficients."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.settings import TINY
from offramp.planning.bound_tree import BoundTree
from offramp.planning.choices import Choices
from offramp.planning.objective import Objective
from offramp.planning.pareto import undominated_rows
from offramp.planning.problem import Problem
from offramp.planning.scoring import left_by
from offramp.planning.vertices import lower_vertices, tail_shares

__all__ = ["Pairs"]

Floats = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Pairs:
    """N pairs: of lower index, the one preferred at equal value.

    ``row`` and ``setting`` (N,) name the choice and the setting of its variant; ``last_tier`` (N,) how far a pair
    reaches; ``value`` (N, C) coefficients of what is minimised; ``limits`` (N, J, C) those that must stay at or
    below ``most`` (J,).
    """

    row: Index
    setting: Index
    last_tier: NDArray[np.int64]
    value: Floats
    limits: Floats
    most: Floats

    @classmethod
    def of(cls, problem: Problem) -> Pairs:
        """All pairs that may be the best under some conditions."""
        choices, goal = problem.choices, problem.objective
        rows = _worth_having(choices, problem.reach, goal)
        last = choices.tiers[rows, -1]
        rows = rows[np.lexsort((choices.placement[rows], choices.table[rows], last))]
        of_variant = [rows[choices.variant[rows] == which] for which in range(len(problem.variants))]
        blocks = [
            _block(choices, of_variant[which], share, setting, goal)
            for which, setting, share in _settings(problem)
            if len(of_variant[which])
        ]
        most = _most(goal, len(problem.network.tiers))
        columns = choices.conditions.columns
        nothing = np.empty(0, np.intp), np.empty(0, np.intp), np.empty((0, columns)), np.empty((0, len(most), columns))
        row, setting, value, limits = (np.concatenate(column) for column in zip(nothing, *blocks, strict=True))
        return cls(row, setting, choices.tiers[row, -1], value, limits, most)

    def __len__(self) -> int:
        return len(self.row)

    def names(self, index: int) -> tuple[int, int]:
        """The choice, and the setting of its variant."""
        return int(self.row[index]), int(self.setting[index])

    def works(self, index: int, vector: Floats, tiers: int) -> bool:
        """Whether a pair stays on the first tiers and keeps its limits."""
        if self.last_tier[index] >= tiers:
            return False
        return not len(self.most) or bool((self.limits[index] @ vector <= self.most + TINY).all())

    def value_of(self, index: int, vector: Floats) -> float:
        """What is minimised, of one pair."""
        return float(self.value[index] @ vector)

    def within(self, tiers: int) -> tuple[Index, Floats, Floats]:
        """Index (m,), value (m, C) and limits (m, J, C) of the pairs on the first tiers."""
        index = np.flatnonzero(self.last_tier < tiers)
        return index, self.value[index], self.limits[index]

    def tree(self, tiers: int, usual: Floats) -> BoundTree | None:
        """The pairs on the first tiers; none if there are no such."""
        index, value, limits = self.within(tiers)
        return BoundTree.of(value, index, usual, limits, self.most) if len(index) else None


def _most(goal: Objective, tiers: int) -> Floats:
    deadline = [] if goal.deadline_s is None else [goal.deadline_s]
    stages = 0 if goal.arrival_hz is None else tiers + 2 * (tiers - 1)
    return np.array(deadline + [1.0 / (goal.arrival_hz or 1.0)] * stages)


def _settings(problem: Problem) -> Iterator[tuple[int, int, Floats]]:
    """Variant, setting and its share (E,), the most accurate first."""
    found = []
    for which, (variant, candidates) in enumerate(zip(problem.variants, problem.accurate(), strict=True)):
        share, right = variant.settings.share[candidates], variant.settings.right[candidates]
        keep = _worth_keeping(share, right, problem.objective)
        found += [(-float(right[one]), which, int(candidates[one]), share[one]) for one in keep]
    for _, which, setting, share in sorted(found, key=lambda one: one[:3]):
        yield which, setting, share


def _worth_keeping(share: Floats, right: NDArray[np.int64], goal: Objective) -> list[int]:
    """Settings that may be the best; of those that leave as early by the quantiles asked for, the lower hull."""
    if not len(share):
        return []
    on = np.hstack([tail_shares(share), np.zeros((len(share), 1))])
    by = left_by(share, goal.deadline_quantile) if goal.deadline_s is not None else np.zeros(len(share), np.intp)
    if goal.arrival_hz is not None:
        return undominated_rows(on[:, :-1]).tolist() if on.shape[1] > 1 else [0]
    if goal.minimise == "latency_quantile":
        both = np.stack([left_by(share, goal.quantile), by], axis=1)
        order = np.argsort(-right, kind="stable")
        return sorted(order[np.unique(both[order], axis=0, return_index=True)[1]].tolist())
    kept: set[int] = set()
    for exit_index in np.unique(by).tolist():
        as_early = np.flatnonzero(by <= exit_index)
        found = as_early[lower_vertices(on[as_early, :-1])]
        kept.update(found[by[found] == exit_index].tolist())
    return sorted(kept)


def _block(
    choices: Choices, rows: Index, share: Floats, setting: int, goal: Objective
) -> tuple[Index, Index, Floats, Floats]:
    """The pairs of one setting with all rows of its variant."""
    value = choices.value_coefficients[rows]
    if goal.minimise == "latency_quantile":
        mean = value[:, int(left_by(share[None], goal.quantile)[0])]
    else:
        mean = np.tensordot(value, share, (1, 0))
    parts = []
    if goal.deadline_s is not None:
        by = int(left_by(share[None], goal.deadline_quantile)[0])
        parts.append(choices.latency_coefficients[rows, by][:, None])
    if goal.arrival_hz is not None:
        parts.append(np.tensordot(choices.busy_coefficients[rows], share, (1, 0)))
    limits = np.concatenate(parts, axis=1) if parts else np.empty((len(rows), 0, mean.shape[1]))
    return rows, np.full(len(rows), setting, np.intp), mean, limits


def _worth_having(choices: Choices, reach: Index, goal: Objective) -> Index:
    """Rows in reach, without those another codec beats in every coefficient at the same placement and variant."""
    costs = [choices.value_coefficients]
    if goal.deadline_s is not None:
        costs.append(choices.latency_coefficients)
    if goal.arrival_hz is not None:
        costs.append(choices.busy_coefficients)
    flat = np.hstack([cost[reach].reshape(len(reach), -1) for cost in costs])
    same = choices.variant[reach].astype(np.int64) * (choices.placement.max() + 1) + choices.placement[reach]
    order = np.lexsort((choices.table[reach], same))
    beaten = np.zeros(len(reach), bool)
    for step in range(1, len(choices.tables)):
        first, second = order[:-step], order[step:]
        alike = same[first] == same[second]
        if not alike.any():
            break
        first, second = first[alike], second[alike]
        first_wins = ~beaten[first] & (flat[first] <= flat[second]).all(1)
        second_wins = ~beaten[second] & ~first_wins & (flat[second] <= flat[first]).all(1)
        beaten[second[first_wins]] = True
        beaten[first[second_wins]] = True
    return reach[~beaten]
