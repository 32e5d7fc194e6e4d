"""What planners as published have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError, PlanInfeasible
from offramp.links.network import Network
from offramp.planning.base import Planner
from offramp.planning.costs import by_tier, segments_of
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from offramp.planning.published.space import Space, two_tier_placements
from offramp.planning.variants import as_variants, check_variants
from offramp.profiles.profile import Profile
from offramp.records.records import Records

__all__ = ["PublishedPlanner", "TwoTierPlanner"]

Ints = NDArray[np.int64]


class PublishedPlanner(Planner):
    """Spreads out the placements a method knows, and lets it choose.

    ``goals`` are the objectives it can minimise; ``exits`` whether its plans use early exits. Without them no
    accuracy is lost and a certificate is not needed. Of several variants of records only the first is used, except
    where ``takes_variants``. Pins, memory and an input that stays narrow the placements of every method; a rate of
    arrivals is refused, except where it ``knows_rates``.
    """

    goals: tuple[str, ...] = ("latency",)
    exits = False
    takes_variants = False
    knows_rates = False

    def plan(
        self,
        records: Records | Sequence[Records],
        profiles: Mapping[str, Profile] | Sequence[Profile],
        network: Network,
        objective: Objective,
    ) -> Plan:
        return self.choose(self.space(records, profiles, network, objective))

    def space(
        self,
        records: Records | Sequence[Records],
        profiles: Mapping[str, Profile] | Sequence[Profile],
        network: Network,
        objective: Objective,
    ) -> Space:
        """What there is to choose from.

        Raises
        ------
        RecordMismatch : records, profiles and network do not belong together
        ConfigError : the method knows nothing of what the objective asks for
        PlanInfeasible : none of its placements keeps pins, memory, or an input that stays
        """
        self._require(objective)
        variants = as_variants(records)
        check_variants(variants)
        if not self.takes_variants:
            variants = variants[:1]
        placements = self.placements(segments_of(by_tier(profiles, network)[0]), network)
        space = Space.of(variants, profiles, network, objective, self.temperatures, self.codecs, placements)
        if not len(space):
            raise PlanInfeasible(
                f"{self.name}: none of its {len(placements)} placements keeps the pins, the memory of the tiers and "
                "an input that stays; give one of them up, or use planner 'offramp'"
            )
        return space

    @abstractmethod
    def placements(self, segments: int, network: Network) -> Ints:
        """(P, S) the placements the method looks at."""

    @abstractmethod
    def choose(self, space: Space) -> Plan:
        """The plan.

        Raises
        ------
        PlanInfeasible : no plan meets the constraints
        """

    def _require(self, objective: Objective) -> None:
        if objective.minimise not in self.goals:
            raise ConfigError(
                f"planner {self.name!r} minimises {' or '.join(self.goals)}, not {objective.minimise}; "
                "use planner 'offramp'"
            )
        if objective.arrival_hz is not None and not self.knows_rates:
            raise ConfigError(
                f"planner {self.name!r} knows no rate of arrivals; leave arrival_hz away, or use 'offramp'"
            )
        if objective.confidence is not None and self.exits:
            raise ConfigError(f"planner {self.name!r} certifies nothing; leave confidence away, or use 'offramp'")

    def _options(self) -> dict[str, object]:
        """Options besides those of `Planner`, for the repr."""
        return {}

    def __repr__(self) -> str:
        options = {"temperatures": self.temperatures, "codecs": self.codecs, **self._options()}
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in options.items())})"


class TwoTierPlanner(PublishedPlanner):
    """A method for one device and one server, with at most one cut.

    Parameters
    ----------
    temperatures, codecs : as for `Planner`
    pair : the two tiers, by name; default the first and the last. Tiers between them pass on what they get
    """

    def __init__(
        self,
        temperatures: Sequence[float] | None = None,
        codecs: Sequence[str] | None = None,
        *,
        pair: tuple[str, str] | None = None,
    ) -> None:
        super().__init__(temperatures, codecs)
        self.pair = pair

    def placements(self, segments: int, network: Network) -> Ints:
        names = network.tier_names
        first, last = self.pair or (names[0], names[-1])
        for name in (first, last):
            network.tier(name)
        if names.index(first) > names.index(last):
            raise ConfigError(f"planner {self.name!r}: tier {first!r} comes after {last!r}; name the nearer one first")
        if first == last:
            return two_tier_placements(segments, names.index(first), names.index(last))[:1]
        return two_tier_placements(segments, names.index(first), names.index(last))

    def _options(self) -> dict[str, object]:
        return {"pair": self.pair}
