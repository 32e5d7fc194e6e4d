"""All that may be chosen beside the gates: a placement, a variant and a codec."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.links.network import Network
from offramp.planning.coefficients import Conditions, busy_coefficients, coefficients
from offramp.planning.costs import CostTable, all_placements
from offramp.planning.crossings import crossing_cuts
from offramp.planning.objective import Objective
from offramp.planning.value import value_terms

__all__ = ["Choices"]

Floats = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Choices:
    """R choices: row r is placement ``place[r]`` of ``tables[table[r]]``, whose variant is ``variant[r]``.

    Of a placement that never leaves the first tier only the first codec of its variant is here. ``placement`` (R,) is
    its index among all placements. Costs are those on ``network``, or under ``vector``, see `Conditions.vector`.
    """

    tables: tuple[CostTable, ...]
    network: Network
    objective: Objective
    table: Index
    place: Index
    variant: Index
    placement: Index
    vector: Floats | None = None

    @classmethod
    def of(
        cls, tables: Sequence[CostTable], variants: Sequence[int], network: Network, objective: Objective
    ) -> Choices:
        """All of them, table by table; ``variants`` names the variant of each table, those of one side by side."""
        segments, tiers = tables[0].placements.shape[1], len(network.tiers)
        known = _codes(all_placements(segments, tiers), tiers)
        order = known.argsort()
        found = []
        for which, table in enumerate(tables):
            first = which == 0 or variants[which - 1] != variants[which]
            place = np.flatnonzero(first | (table.placements[:, -1] > 0))
            placement = order[np.searchsorted(known, _codes(table.placements[place], tiers), sorter=order)]
            same = np.ones_like(place)
            found.append(np.array([which * same, place, variants[which] * same, placement], np.intp))
        table_of, place, variant, placement = np.concatenate(found, axis=1)
        return cls(tuple(tables), network, objective, table_of, place, variant, placement)

    def __len__(self) -> int:
        return len(self.table)

    def under(self, vector: Floats) -> Choices:
        """The same under other conditions."""
        return replace(self, vector=vector)

    @cached_property
    def latency_s(self) -> Floats:
        """(R, E) seconds."""
        if self.vector is None:
            return self._gather(lambda table: table.cost_s)
        return np.asarray(self.latency_coefficients @ self.vector)

    @cached_property
    def value(self) -> Floats:
        """(R, E) what is minimised, for a sample that leaves by each exit."""
        if self.objective.minimise in ("latency", "latency_quantile"):
            return self.latency_s
        return np.asarray(self.value_coefficients @ self._now)

    @cached_property
    def busy_s(self) -> Floats:
        """(R, E, J) seconds a sample keeps each stage busy; see `busy_coefficients`."""
        return np.asarray(self.busy_coefficients @ self._now)

    @cached_property
    def tiers(self) -> NDArray[np.int64]:
        """(R, S) tier of every segment."""
        return self._gather(lambda table: table.placements)

    @property
    def conditions(self) -> Conditions:
        """What coefficients are multiplied with."""
        return Conditions(len(self.network.tiers))

    @cached_property
    def latency_coefficients(self) -> Floats:
        """(R, E, C)."""
        return self._gather(lambda table: coefficients(table, self.network))

    @cached_property
    def value_coefficients(self) -> Floats:
        """(R, E, C)."""
        if self.objective.minimise in ("latency", "latency_quantile"):
            return self.latency_coefficients
        return self._gather(lambda table: sum(value_terms(table, self.network, self.objective).values(), np.zeros(1)))

    @cached_property
    def busy_coefficients(self) -> Floats:
        """(R, E, J, C)."""
        return self._gather(lambda table: busy_coefficients(table, self.network))

    @property
    def _now(self) -> Floats:
        return self.conditions.usual(self.network) if self.vector is None else self.vector

    def at(self, row: int) -> tuple[CostTable, int]:
        """The table and the row in it."""
        return self.tables[int(self.table[row])], int(self.place[row])

    def terms(self, row: int) -> dict[str, Floats]:
        """(E,) of every term of what is minimised."""
        table, place = self.at(row)
        if self.objective.minimise in ("latency", "latency_quantile"):
            return dict(zip(table.names, table.terms_s[place].T, strict=True))
        now = self._now
        return {name: term[place] @ now for name, term in value_terms(table, self.network, self.objective).items()}

    def _gather(self, what: Callable[[CostTable], NDArray[Any]]) -> NDArray[Any]:
        parts = [what(table)[self.place[self.table == which]] for which, table in enumerate(self.tables)]
        return np.concatenate(parts)


def _codes(placements: NDArray[np.int64], tiers: int) -> NDArray[np.int64]:
    """(P,) one number for every placement, from the cuts at which it crosses the links."""
    cuts = crossing_cuts(placements, tiers)
    return np.asarray(cuts @ (placements.shape[1] + 1) ** np.arange(tiers - 1, dtype=np.int64))
