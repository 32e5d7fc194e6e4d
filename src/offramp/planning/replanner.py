"""The best plan for the network of the moment, from a set prepared once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Unpack

import numpy as np
from numpy.typing import NDArray

from offramp.errors import PlanInfeasible
from offramp.links.network import Network
from offramp.planning.binding import infeasible
from offramp.planning.costs import cost_table
from offramp.planning.objective import Objective
from offramp.planning.pairs import Pairs
from offramp.planning.plan import Plan
from offramp.planning.problem import Problem, SearchOptions, prepare
from offramp.planning.replay import predict
from offramp.planning.writer import plan_of
from offramp.profiles.profile import Profile
from offramp.records.records import Records

__all__ = ["Choice", "Replanner"]

Floats = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Choice:
    """A placement with its variant and codec, and a gate setting, by ``index``.

    ``value`` is what is minimised, on the tune rows: for latency the mean in seconds.
    """

    index: int
    value: float


class Replanner:
    """Answers any bandwidth, round trip and load with the plan a full `offramp.planning.search.search` would find.

    What is minimised is a row of coefficients >= 0 times (1, load of every tier, seconds per bit and round trip of
    every link). Prepared once: gate settings on the lower hull of tail shares, codecs that no other beats at the same
    placement in every coefficient, and a tree of bounds over all pairs. With a deadline every pair has a second row,
    the latency of the exit by which the share asked for has left, and the hull is taken among the settings that leave
    as early; with arrivals it has a row for every stage, and all settings that no other beats are kept.

    Of plans equally good within 1e-12 s the most accurate prepared one is chosen, then fewer tiers, the earlier codec
    and the earlier placement.

    Parameters
    ----------
    records, profiles, network, objective, options : as for `search`; the bandwidths and round trips of ``network`` are
        the defaults

    Raises
    ------
    RecordMismatch, ConfigError, NotEnoughSamples, CertificateError : as `search`
    """

    def __init__(
        self,
        records: Records | Sequence[Records],
        profiles: Mapping[str, Profile] | Sequence[Profile],
        network: Network,
        objective: Objective | None = None,
        **options: Unpack[SearchOptions],
    ) -> None:
        self._set_up(prepare(records, profiles, network, objective, **options))

    @classmethod
    def of(cls, problem: Problem) -> Replanner:
        """Of a problem prepared before."""
        made = cls.__new__(cls)
        made._set_up(problem)
        return made

    def _set_up(self, problem: Problem) -> None:
        self._problem = problem
        self.network = problem.network
        self.conditions = problem.choices.conditions
        self._pairs = Pairs.of(problem)
        usual = self.conditions.usual(problem.network)
        self._trees = tuple(self._pairs.tree(tiers, usual) for tiers in range(1, len(problem.network.tiers) + 1))
        self._last = -1

    def __len__(self) -> int:
        """The pairs prepared."""
        return len(self._pairs)

    def __repr__(self) -> str:
        return f"Replanner({self._problem.records.provenance.cascade!r}, {self.network.name!r}, {len(self)} pairs)"

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
        """The best pair.

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
        if tree is None and tiers < len(self._trees) and self._trees[-1] is not None:
            source, target = self.network.tier_names[tiers - 1 : tiers + 1]
            raise PlanInfeasible(
                f"link {source}-{target} is down and no placement allowed does without it; allow one that ends earlier"
            )
        index, value = (-1, 0.0) if tree is None else tree.least(vector, self._ceiling(vector, tiers))
        if index < 0:
            raise PlanInfeasible(self._why(bandwidth_bps, rtt_s, load, tiers))
        self._last = index
        return Choice(index, value)

    def value(
        self,
        choice: Choice,
        bandwidth_bps: float | Sequence[float] | None = None,
        rtt_s: float | Sequence[float] | None = None,
        load: float | Sequence[float] = 1.0,
    ) -> float:
        """What a choice comes to now; infinite where it needs a link that is down or breaks a limit."""
        vector, tiers = self.vector(bandwidth_bps, rtt_s, load)
        works = self._pairs.works(choice.index, vector, tiers)
        return self._pairs.value_of(choice.index, vector) if works else float(np.inf)

    def plan_of(self, choice: Choice, network: Network | None = None) -> Plan:
        """The plan of a choice, with its prediction for ``network`` (default the one prepared with), unloaded."""
        problem = self._problem
        row, setting = self._pairs.names(choice.index)
        plan = plan_of(problem, row, setting)
        if network is None:
            return plan
        variant = problem.variant_of(row)
        table = cost_table(
            problem.profiles,
            network,
            plan.codec,
            problem.records.exits,
            placements=problem.choices.tiers[[row]],
            precision=plan.precision,
            coded=plan.coded,
        )
        reference = problem.variants[0].held_out
        predicted = predict(plan, variant.held_out, table, network=network, reference=reference)
        return plan.model_copy(update={"predicted": predicted})

    def rows(self, tiers: int) -> tuple[Index, Floats, Floats]:
        """Every prepared pair on the first tiers: index (m,), coefficients of its value (m, C), and those of its
        limits (m, J, C), each at most `most`.
        """
        return self._pairs.within(tiers)

    @property
    def most(self) -> Floats:
        """(J,) of every limit: the deadline, then what arrivals leave each stage per sample."""
        return self._pairs.most

    def _ceiling(self, vector: Floats, tiers: int) -> float:
        """The last answer's value now, where it still counts."""
        if self._last < 0 or not self._pairs.works(self._last, vector, tiers):
            return float(np.inf)
        return self._pairs.value_of(self._last, vector)

    def _why(
        self,
        bandwidth_bps: float | Sequence[float] | None,
        rtt_s: float | Sequence[float] | None,
        load: float | Sequence[float],
        tiers: int,
    ) -> str:
        """In words."""
        problem, vector = self._problem, self.vector(bandwidth_bps, rtt_s, load)[0]
        near = problem.choices.tiers[:, -1] < tiers
        return infeasible(replace(problem, choices=problem.choices.under(vector), kept={**problem.kept, "links": near}))
