"""What a published planner chooses from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.codecs.registry import get_codec
from offramp.confidence.settings import TINY
from offramp.errors import ConfigError, PlanInfeasible, RecordMismatch
from offramp.links.network import Network
from offramp.planning.costs import CostTable, by_tier, cost_table, model_bytes
from offramp.planning.explain import milliseconds
from offramp.planning.making import exit_temperatures, make_plan
from offramp.planning.objective import Objective
from offramp.planning.pin import pinned
from offramp.planning.plan import Plan
from offramp.profiles.profile import Profile
from offramp.records.records import Records
from offramp.records.variant import VariantName

__all__ = ["Space", "lossless_codecs", "two_tier_placements"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Index = NDArray[np.intp]


@dataclass(frozen=True)
class Space:
    """R rows of variant, codec and placement, each with its costs.

    ``records`` are the variants, the reference first; row r is placement ``row[r]`` of ``tables[table[r]]``, and
    ``variants`` names the variant of every table. Codecs that change tensors come with their variant's records.
    """

    records: tuple[Records, ...]
    profiles: tuple[Profile, ...]
    network: Network
    objective: Objective
    temperatures: tuple[float, ...]
    tables: tuple[CostTable, ...]
    variants: tuple[int, ...]
    table: Index
    row: Index

    @classmethod
    def of(
        cls,
        records: Sequence[Records],
        profiles: Mapping[str, Profile] | Sequence[Profile],
        network: Network,
        objective: Objective,
        temperatures: Sequence[float] | None,
        codecs: Sequence[str] | None,
        placements: Ints,
    ) -> Space:
        """All pairs of codec and placement (P, S), and for a variant with coded cuts the placements that use them all.

        A placement on the first tier alone appears once, with the first codec. Placements that break a pin, exceed
        the memory of a tier or send an input that must stay are left out; all of them may be.

        Raises
        ------
        RecordMismatch : records, profiles and network do not belong together
        ConfigError : a codec that changes the tensors, or a pin of a segment or tier there is not
        """
        chosen = tuple(by_tier(profiles, network))
        for each in records:
            each.require(chosen[0].cascade_fingerprint)
        names = lossless_codecs(chosen, codecs)
        tables: list[CostTable] = []
        of_table: list[tuple[int, Index]] = []
        for which, variant in enumerate(records):
            name = VariantName.parse(variant.provenance.variant)
            coded = name.coded
            for codec in names[:1] if coded else names:
                tables.append(cost_table(chosen, network, codec, variant.exits, placements, name.precision, coded))
                used = _hands_over(placements, coded) if coded else placements[:, -1] > (-1 if codec == names[0] else 0)
                allowed = _allowed(placements, chosen, network, objective, name.precision)
                of_table.append((which, np.flatnonzero(used & allowed)))
        return cls(
            records=tuple(records),
            profiles=chosen,
            network=network,
            objective=objective,
            temperatures=exit_temperatures(records[0], temperatures),
            tables=tuple(tables),
            variants=tuple(which for which, _ in of_table),
            table=np.repeat(np.arange(len(tables)), [len(rows) for _, rows in of_table]),
            row=np.concatenate([rows for _, rows in of_table]),
        )

    def __len__(self) -> int:
        return len(self.table)

    def gather(self, what: Callable[[CostTable], Floats]) -> Floats:
        """(R, ...) of something the tables have (P, ...)."""
        return np.stack([what(table) for table in self.tables])[self.table, self.row]

    @property
    def cost_s(self) -> Floats:
        """(R, E) seconds."""
        return self.gather(lambda table: table.cost_s)

    @property
    def sent_bytes(self) -> Floats:
        """(R, E) bytes that leave the first tier."""
        return self.gather(lambda table: table.sent_bytes)

    def term_s(self, name: str) -> Floats:
        """(R, E) seconds of one term, such as ``compute:edge``."""
        return self.gather(lambda table: table.terms_s[:, :, table.names.index(name)])

    @property
    def placements(self) -> Ints:
        """(R, S) tier index of every segment."""
        return np.asarray(self.tables[0].placements[self.row])

    @property
    def variant(self) -> Index:
        """(R,) index into ``records``."""
        return np.array(self.variants, np.intp)[self.table]

    @property
    def exit_accuracy(self) -> Floats:
        """(V, E) accuracy of every exit of every variant on its tune rows."""
        return np.stack([each.on("tune").correct.mean(1) for each in self.records])

    @property
    def least_accuracy(self) -> float:
        """What the accuracy loss of the objective leaves, of the reference's last exit on the tune rows."""
        return float(self.exit_accuracy[0, -1]) - self.objective.accuracy_loss - TINY

    def plan(self, row: int, thresholds: Sequence[float | None], planner: str, settings: int = 1) -> Plan:
        """The plan of a row, with these thresholds."""
        table = self.tables[int(self.table[row])]
        return make_plan(
            self.records[int(self.variant[row])],
            self.profiles,
            self.network,
            self.objective,
            placement=table.placement_names(int(self.row[row])),
            thresholds=thresholds,
            codec=table.codec,
            planner=planner,
            temperatures=self.temperatures,
            reference=self.records[0],
            settings=settings,
            placements=len(self),
        )

    def infeasible(self, planner: str, latency_s: Floats | float) -> PlanInfeasible:
        """The error of a planner whose accurate choices all miss the deadline."""
        least, deadline = float(np.min(latency_s, initial=np.inf)), self.objective.deadline_s
        if deadline is None or not np.isfinite(least):
            return PlanInfeasible(
                f"{planner}: no plan within the accuracy loss of {self.objective.accuracy_loss:g} among its "
                f"{len(self)} placements; allow more, or use planner 'offramp'"
            )
        return PlanInfeasible(
            f"{planner}: no plan answers within {milliseconds(deadline)} and the accuracy loss of "
            f"{self.objective.accuracy_loss:g}: its fastest needs {milliseconds(least)}; allow that, or use planner "
            "'offramp'"
        )


def two_tier_placements(segments: int, first: int, last: int) -> Ints:
    """(S + 1, S) the first p = 0, ..., S segments on tier ``first``, the rest on ``last``.

    Examples
    --------
    >>> two_tier_placements(2, 0, 2)
    array([[2, 2],
           [0, 2],
           [0, 0]])
    """
    return np.where(np.arange(segments) < np.arange(segments + 1)[:, None], first, last)


def lossless_codecs(profiles: Sequence[Profile], wanted: Sequence[str] | None) -> list[str]:
    """The codecs wanted, or every lossless one measured on all tiers.

    Raises
    ------
    ConfigError : one of them changes the tensors
    RecordMismatch : the profiles share none
    """
    if wanted is not None:
        lossy = [name for name in wanted if not get_codec(name).lossless]
        if lossy:
            raise ConfigError(
                f"codec {lossy[0]!r} changes the tensors; give records made with it (CODEC@CUT) instead of naming it"
            )
        return list(wanted)
    common = [name for name in profiles[0].codecs if all(name in profile.codecs for profile in profiles)]
    lossless = [name for name in common if get_codec(name).lossless]
    if not lossless:
        raise RecordMismatch("the profiles share no lossless codec; run 'offramp profile' again")
    return lossless


def _allowed(
    placements: Ints, profiles: Sequence[Profile], network: Network, objective: Objective, precision: str
) -> NDArray[np.bool_]:
    """(P,) which placements keep the pins, fit the memory of every tier, and keep an input that stays."""
    kept = pinned(placements, network.tier_names, objective.pins)
    if objective.input_stays:
        kept &= placements[:, 0] == 0
    for index, tier in enumerate(network.tiers):
        if np.isfinite(tier.memory_bytes):
            kept &= (placements == index) @ model_bytes(profiles[index], precision) <= tier.memory_bytes
    return kept


def _hands_over(placements: Ints, coded: Mapping[int, str]) -> NDArray[np.bool_]:
    """(P,) whether every coded cut is one where a tier hands over to another."""
    before = np.pad(placements[:, :-1], ((0, 0), (1, 0)))
    changes = placements > before
    return np.asarray(changes[:, list(coded)].all(1))
