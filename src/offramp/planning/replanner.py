"""The best plan for the network of the moment, from a set prepared once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.certificate import Certificate
from offramp.confidence.gates.base import Gate
from offramp.confidence.settings import TINY
from offramp.errors import PlanInfeasible
from offramp.links.network import Network
from offramp.planning.bound_tree import BoundTree
from offramp.planning.coefficients import Conditions, coefficients
from offramp.planning.costs import cost_table
from offramp.planning.explain import infeasible
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from offramp.planning.replay import predict
from offramp.planning.scoring import Choices
from offramp.planning.search import prepare
from offramp.planning.vertices import lower_vertices, tail_shares
from offramp.planning.writer import Writer
from offramp.profiles.profile import Profile
from offramp.records.records import Records

__all__ = ["Choice", "Replanner"]

Floats = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Choice:
    """A placement with its codec, and a gate setting, by ``index``; ``mean_latency_s`` on the tune rows."""

    index: int
    mean_latency_s: float


class Replanner:
    """Answers any bandwidth, round trip and load with the plan a full `offramp.planning.search.search` would find.

    A mean cost is a row of coefficients >= 0 times (1, load of every tier, seconds per bit and round trip of every
    link). Prepared once: gate settings on the lower hull of tail shares, codecs that no other beats at the same
    placement in every coefficient, and a tree of bounds over all pairs. With a deadline every pair has a second row,
    the latency of the exit by which the share asked for has left, and the hull is taken among the settings that leave
    as early.

    Of plans equally fast within 1e-12 s the most accurate prepared one is chosen, then fewer tiers, the earlier codec
    and the earlier placement.

    Parameters
    ----------
    records, profiles, network, objective, temperatures, codecs, placements, max_settings, certificate, gates : as for
        `search`; the bandwidths and round trips of ``network`` are the defaults

    Raises
    ------
    RecordMismatch, ConfigError, NotEnoughSamples, CertificateError : as `search`
    """

    def __init__(
        self,
        records: Records,
        profiles: Mapping[str, Profile] | Sequence[Profile],
        network: Network,
        objective: Objective | None = None,
        *,
        temperatures: Sequence[float] | None = None,
        codecs: Sequence[str] | None = None,
        placements: Sequence[Sequence[str]] | None = None,
        max_settings: int = 100_000,
        certificate: Certificate | None = None,
        gates: Sequence[Gate] | None = None,
    ) -> None:
        self._writer = prepare(
            records,
            profiles,
            network,
            objective,
            temperatures=temperatures,
            codecs=codecs,
            placements=placements,
            max_settings=max_settings,
            certificate=certificate,
            gates=gates,
        )
        self._profiles = profiles
        self.network = network
        self.conditions = Conditions(len(network.tiers))
        by_table = [coefficients(table, network) for table in self._writer.choices.tables]
        self._pairs = _Pairs.of(self._writer, np.stack(by_table))
        usual = self.vector()[0]
        self._trees = tuple(self._pairs.tree(tiers, usual) for tiers in range(1, len(network.tiers) + 1))
        self._last = -1

    def __len__(self) -> int:
        """The pairs prepared."""
        return self._pairs.rows * len(self._pairs.settings)

    def __repr__(self) -> str:
        return f"Replanner({self._writer.records.provenance.cascade!r}, {self.network.name!r}, {len(self)} pairs)"

    def vector(
        self,
        bandwidth_bps: float | Sequence[float] | None = None,
        rtt_s: float | Sequence[float] | None = None,
        load: float | Sequence[float] = 1.0,
    ) -> tuple[Floats, int]:
        """Values of the columns of ``conditions``, and the tiers within reach; defaults are those of the network."""
        rates = [link.bandwidth_bps for link in self.network.links] if bandwidth_bps is None else bandwidth_bps
        delays = [link.rtt_s for link in self.network.links] if rtt_s is None else rtt_s
        return self.conditions.vector(rates, delays, load)

    def replan(
        self,
        bandwidth_bps: float | Sequence[float] | None = None,
        rtt_s: float | Sequence[float] | None = None,
        load: float | Sequence[float] = 1.0,
    ) -> Choice:
        """The fastest pair.

        Parameters
        ----------
        bandwidth_bps, rtt_s : one per link, or one for all; default as in the network. Bandwidth 0 is an outage: only
            placements that never need the link are left
        load : how many times slower than profiled the tiers run their segments; one per tier, or one for all

        Raises
        ------
        PlanInfeasible : no pair meets the deadline, or the only placements allowed need a link that is down
        ConfigError : not numbers as above
        """
        vector, tiers = self.vector(bandwidth_bps, rtt_s, load)
        tree = self._trees[tiers - 1]
        if tree is None:
            source, target = self.network.tier_names[tiers - 1 : tiers + 1]
            raise PlanInfeasible(
                f"link {source}-{target} is down and no placement allowed does without it; allow one that ends earlier"
            )
        index, latency_s = tree.least(vector, self._ceiling(vector, tiers))
        if index < 0:
            raise PlanInfeasible(self._why(vector, tiers))
        self._last = index
        return Choice(index, latency_s)

    def plan_of(self, choice: Choice, network: Network | None = None) -> Plan:
        """The plan of a choice, with its prediction for ``network`` (default the one prepared with), unloaded."""
        writer = self._writer
        plan = writer.plan(*self._pairs.names(choice.index))
        if network is None:
            return plan
        records = writer.records
        table = cost_table(self._profiles, network, plan.codec, records.exits, precision=records.provenance.variant)
        return plan.model_copy(update={"predicted": predict(plan, writer.held_out, table)})

    def rows(self, tiers: int) -> tuple[Index, Floats, Floats | None]:
        """Every prepared pair on the first tiers: index (m,), coefficients of its mean latency (m, C) and, with a
        deadline, of the latency that must keep it (m, C).
        """
        return self._pairs.within(tiers)

    @property
    def deadline_s(self) -> float:
        """Infinity without one."""
        return self._pairs.deadline_s

    def _ceiling(self, vector: Floats, tiers: int) -> float:
        """The last answer's latency now, where it still counts."""
        pairs = self._pairs
        if self._last < 0:
            return float(np.inf)
        row, setting = self._last % pairs.rows, self._last // pairs.rows
        if pairs.last_tier[row] >= tiers:
            return float(np.inf)
        cost = pairs.table[row] @ vector
        if cost[pairs.by[setting]] > pairs.deadline_s + TINY:
            return float(np.inf)
        return float(pairs.share[setting] @ cost)

    def _why(self, vector: Floats, tiers: int) -> str:
        pairs = self._pairs
        cost = pairs.table[pairs.last_tier < tiers] @ vector
        return infeasible(cost, self._writer.settings, self._writer.objective)


@dataclass(frozen=True)
class _Pairs:
    """Pair i is row ``i % rows`` with setting ``i // rows``: of lower index, the one preferred at equal latency.

    ``table`` (R, E, C) coefficients by exit; ``row_names`` (R,) rows of the writer's choices; ``last_tier`` (R,);
    ``settings`` (V,) of the writer's settings, their ``share`` (V, E) and the exit ``by`` (V,) which the share asked
    for has left.
    """

    table: Floats
    row_names: Index
    last_tier: NDArray[np.int64]
    settings: Index
    share: Floats
    by: Index
    deadline_s: float

    @classmethod
    def of(cls, writer: Writer, by_table: Floats) -> _Pairs:
        settings, goal, choices = writer.settings, writer.objective, writer.choices
        rows = _worth_having(choices, writer.reach, by_table)
        last = choices.tiers[rows, -1]
        order = np.lexsort((choices.placement[rows], choices.table[rows], last))
        rows, last = rows[order], last[order]
        candidates = settings.accurate(goal.accuracy_loss)
        share = settings.share[candidates]
        quantile = 0.0 if goal.deadline_s is None else goal.deadline_quantile
        on = np.hstack([tail_shares(share), np.zeros((len(share), 1))])
        by = (on <= 1.0 - quantile + TINY).argmax(1)
        kept: set[int] = set()
        for exit_index in np.unique(by).tolist():
            as_early = np.flatnonzero(by <= exit_index)
            found = as_early[lower_vertices(on[as_early, :-1])]
            kept.update(found[by[found] == exit_index].tolist())
        keep = np.array(sorted(kept, key=lambda one: -settings.right[candidates[one]]), np.intp)
        return cls(
            table=by_table[choices.table[rows], choices.placement[rows]],
            row_names=rows,
            last_tier=last,
            settings=candidates[keep],
            share=share[keep],
            by=by[keep],
            deadline_s=np.inf if goal.deadline_s is None else goal.deadline_s,
        )

    @property
    def rows(self) -> int:
        """R."""
        return len(self.row_names)

    def names(self, index: int) -> tuple[int, int]:
        """Row of the choices and index of the setting."""
        return int(self.row_names[index % self.rows]), int(self.settings[index // self.rows])

    def within(self, tiers: int) -> tuple[Index, Floats, Floats | None]:
        """Index (m,), mean coefficients (m, C) and deadline coefficients (m, C) of the pairs on the first tiers."""
        rows = np.flatnonzero(self.last_tier < tiers)
        table = self.table[rows]
        index = (np.arange(len(self.settings))[:, None] * self.rows + rows).ravel()
        mean = np.einsum("ve,rec->vrc", self.share, table).reshape(len(index), self.table.shape[2])
        if self.deadline_s == np.inf:
            return index, mean, None
        return index, mean, table[:, self.by].swapaxes(0, 1).reshape(mean.shape)

    def tree(self, tiers: int, usual: Floats) -> BoundTree | None:
        """The pairs on the first tiers; none if there are no such."""
        index, mean, late = self.within(tiers)
        return BoundTree.of(mean, index, usual, late, self.deadline_s) if len(index) else None


def _worth_having(choices: Choices, reach: Index, by_table: Floats) -> Index:
    """Rows in reach, without those another codec beats in every coefficient at the same placement."""
    allowed = np.zeros((len(by_table), by_table.shape[1]), bool)
    allowed[choices.table[reach], choices.placement[reach]] = True
    for this in range(len(by_table)):
        for other in range(len(by_table)):
            beaten = (by_table[other] <= by_table[this]).all((1, 2)) & allowed[other]
            if other > this:  # of equal ones the earlier stays
                beaten &= (by_table[other] < by_table[this]).any((1, 2))
            if other != this:
                allowed[this] &= ~beaten
    return reach[allowed[choices.table[reach], choices.placement[reach]]]
