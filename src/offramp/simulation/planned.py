"""What each plan makes of each sample, worked out once for a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import RecordMismatch
from offramp.links.network import Network
from offramp.planning.plan import Plan
from offramp.planning.replay import replay_exits
from offramp.planning.variants import as_variants
from offramp.profiles.profile import Profile
from offramp.records.records import Records
from offramp.simulation.energy import exit_energy_j
from offramp.simulation.journey import Stage, journeys, rescue_s

__all__ = ["Planned", "PlannedSamples"]


@dataclass(frozen=True)
class Planned:
    """A plan over the samples: ``ways`` (E,) by exit, the ``exit`` (n,) each sample leaves by, and whether each exit is
    right on it (E, n), as the plan's variant has it.

    ``local_s`` are the seconds after which the first tier has computed its exits, as far as the plan lets it run. Where
    it has none, ``rescue_s`` are the seconds it needs to the first exit, from where it hands over.
    """

    index: int
    ways: list[tuple[Stage, ...]]
    exit: list[int]
    correct: NDArray[np.bool_]
    local_s: tuple[float, ...]
    rescue_s: float
    energy_j: NDArray[np.float64] | None

    def local_exit(self, seconds: float) -> int:
        """The deepest exit the first tier has computed after so much work on a sample; -1 if none."""
        return sum(each <= seconds + 1e-12 for each in self.local_s) - 1


class PlannedSamples:
    """Plans met so far; a plan is known by its identity, and kept."""

    def __init__(
        self,
        records: Records | Sequence[Records],
        profiles: Mapping[str, Profile] | Sequence[Profile],
        network: Network,
    ) -> None:
        self.variants = as_variants(records)
        self.records, self.network = self.variants[0], network
        self._profiles = profiles
        self._known: dict[int, tuple[Plan, Planned]] = {}

    @property
    def plans(self) -> tuple[Plan, ...]:
        """In the order met."""
        return tuple(plan for plan, _ in self._known.values())

    def of(self, plan: Plan) -> Planned:
        """What the plan makes of the samples.

        Raises
        ------
        RecordMismatch : the plan is of another cascade, or of none of several variants
        """
        if id(plan) not in self._known:
            plan.require(self.records.provenance.cascade_fingerprint)
            records = self._variant(plan)
            ways = journeys(plan, self._profiles, self.network)
            planned = Planned(
                index=len(self._known),
                ways=ways,
                exit=replay_exits(plan, records).tolist(),
                correct=records.correct,
                local_s=tuple(way[0].seconds for way in ways if len(way) == 1),  # type: ignore[union-attr]  # Compute
                rescue_s=rescue_s(plan, self._profiles, self.network),
                energy_j=exit_energy_j(plan, self._profiles, self.network, ways),
            )
            self._known[id(plan)] = plan, planned
        return self._known[id(plan)][1]

    def correct(
        self, plan: NDArray[np.intp], exits: NDArray[np.intp], degraded: NDArray[np.bool_]
    ) -> NDArray[np.bool_]:
        """(n,) whether the answers are right; degraded ones are the first tier's own."""
        rows = np.arange(len(plan))
        right = self.records.correct[exits, rows]
        for _, planned in self._known.values():
            mine = (plan == planned.index) & ~degraded
            right[mine] = planned.correct[exits[mine], rows[mine]]
        return np.asarray(right)

    def _variant(self, plan: Plan) -> Records:
        for records in self.variants:
            if records.provenance.variant == plan.variant:
                return records
        if len(self.variants) > 1:
            raise RecordMismatch(f"a plan runs {plan.variant}, but the records are of other variants; record that too")
        return self.records

    def energy_j(self, plan: NDArray[np.intp], exits: NDArray[np.intp]) -> NDArray[np.float64] | None:
        """(n,) modelled joules of samples by plan and exit."""
        tables = [planned.energy_j for _, planned in self._known.values()]
        if any(table is None for table in tables):
            return None
        return np.asarray(np.stack([np.asarray(table) for table in tables])[plan, exits])
