"""The plans one tier knows, and what each means for it."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from offramp.cascade.manifest import Manifest
from offramp.confidence.gates import ExitEvidence
from offramp.errors import ConfigError, RecordMismatch
from offramp.planning.plan import Plan
from offramp.runtime.learned import LearnedRoutes
from offramp.runtime.route import Route

__all__ = ["Routes"]


class Routes:
    """Plans by their id, checked against the cascade when they are taken in.

    Parameters
    ----------
    manifest : of the cascade
    name : of the tier, as in the plans
    plans : the first is the default

    Attributes
    ----------
    exit_of : for each segment the index of its exit, or ``None``
    learned : plans it was told of while running

    Raises
    ------
    RecordMismatch : a plan belongs to another cascade
    ConfigError : no plan, or one that does not know the tier
    """

    def __init__(self, manifest: Manifest, name: str, plans: Iterable[Plan]) -> None:
        self.manifest = manifest
        self.name = name
        self.fingerprint = manifest.fingerprint
        self.classes = len(manifest.labels)
        exits = {segment: index for index, segment in enumerate(manifest.exit_segments)}
        self.exit_of = tuple(exits.get(segment) for segment in range(len(manifest.segments)))
        self.learned = LearnedRoutes()
        self._routes: dict[str, Route] = {}
        for plan in plans:
            self.add(plan)
        if not self._routes:
            raise ConfigError(f"tier {name!r} has no plan; pass at least one")
        self._default = next(iter(self._routes.values()))

    def add(self, plan: Plan) -> Route:
        """Take a plan in and return its route through this tier.

        Raises
        ------
        RecordMismatch : it belongs to another cascade
        ConfigError : it does not fit the cascade or does not know the tier
        """
        route = self._checked(plan)
        return self._routes.setdefault(route.plan_id, route)

    def learn(self, plan: Plan) -> Route:
        """Take in a plan that was announced; unlike those given, it may be forgotten again (see `LearnedRoutes`).

        Raises
        ------
        RecordMismatch, ConfigError : as `add`, or none is taken here
        """
        route = self._checked(plan)
        return self._routes.get(route.plan_id) or self.learned.put(route)

    def _checked(self, plan: Plan) -> Route:
        """The route of a plan that fits."""
        plan.require(self.fingerprint)
        exits = sum(1 for index in self.exit_of if index is not None)
        if len(plan.placement) != len(self.exit_of) or len(plan.temperatures) != exits:
            raise ConfigError(
                f"the plan places {len(plan.placement)} segments and has {len(plan.temperatures)} exits, but "
                f"{self.manifest.name!r} has {len(self.exit_of)} and {exits}; run 'offramp plan' again"
            )
        self._require_samples(plan)
        route = Route.of(plan, self.name, len(self.exit_of))
        self._try_gates(route)
        return route

    def _try_gates(self, route: Route) -> None:
        """Score one row with every gate, so that a gate of another cascade is refused before there are any."""
        for index, gate in enumerate(route.gates):
            even = np.full((1, self.classes), 1 / self.classes, np.float32)
            gate.score(ExitEvidence(index, even[:, 0], even, np.zeros((index, 1), np.int64)))

    def _require_samples(self, plan: Plan) -> None:
        """Refuse a plan under which a tier would need the sample, but is handed features."""
        for tier in plan.tiers:
            mine = plan.tier_range(tier)
            handed_input = not mine or self.manifest.tensors_at(mine.start) == self.manifest.inputs
            for index in mine:
                if self.manifest.segments[index].hand_over == "input" and not handed_input:
                    raise ConfigError(
                        f"segment {index} hands over the input, but tier {tier!r} is handed the features of segment "
                        f"{mine.start - 1}; place both segments on one tier"
                    )

    def route(self, plan_id: str | None = None) -> Route:
        """The route of a plan; the default plan's without an id.

        Raises
        ------
        RecordMismatch : no such plan here
        """
        if plan_id is None:
            return self._default
        try:
            return self._routes[plan_id]
        except KeyError:
            if (route := self.learned.get(plan_id)) is not None:
                return route
            raise RecordMismatch(
                f"tier {self.name!r} has no plan {plan_id!r}; it has {', '.join(self._routes)}: "
                "give the server the plan file the device uses"
            ) from None

    def knows(self, plan_id: str) -> bool:
        """Whether it has this plan; every tier has a default, which goes without an id."""
        return not plan_id or plan_id in self._routes or plan_id in self.learned

    @property
    def plan_ids(self) -> tuple[str, ...]:
        """Ids of the plans it was given, the default first."""
        return tuple(self._routes)
