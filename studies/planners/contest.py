"""Every planner on one cascade and one network: what its plan costs on each split."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import entry_points

from offramp.confidence.settings import TINY
from offramp.errors import ConfigError, PlanInfeasible
from offramp.links.network import Network
from offramp.planning.base import Planner
from offramp.planning.costs import cost_table
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from offramp.planning.published.base import TwoTierPlanner
from offramp.planning.replay import replay
from offramp.profiles.profile import Profile
from studies.planners.cases import Case, tier_profile

__all__ = ["OURS", "SPLITS", "Entry", "contest", "planner_kinds"]

OURS = "offramp"
SPLITS = ("tune", "calibrate", "test")


@dataclass(frozen=True)
class Entry:
    """The plan of one planner for a cascade and a network; ``None`` where it has none, with the ``reason``.

    ``latency_s`` and ``loss`` are means over the rows of a split.
    """

    case: str
    network: str
    planner: str
    plan: Plan | None
    latency_s: Mapping[str, float]
    loss: Mapping[str, float]
    reason: str = ""

    @cached_property
    def where(self) -> str:
        """Cascade and network."""
        return f"{self.case}, {self.network}"


def planner_kinds() -> dict[str, type[Planner]]:
    """Every installed planner by its name."""
    return {point.name: point.load() for point in sorted(entry_points(group="offramp.planners"), key=lambda p: p.name)}


def contest(case: Case, network: Network, objective: Objective) -> Iterator[Entry]:
    """The entries of all planners that know what to do with this network.

    A method for two tiers is given every pair of tiers, and its fastest plan on the tune rows counts.
    """
    profiles = [tier_profile(case.profile, tier.name, tier.slow_down) for tier in network.tiers]
    for name, kind in planner_kinds().items():
        found = [_entry(case, network, objective, profiles, name, planner) for planner in _ways(kind, case, network)]
        entries = [entry for entry in found if entry is not None]
        if entries:
            yield min(entries, key=lambda entry: entry.latency_s.get("tune", float("inf")))


def _ways(kind: type[Planner], case: Case, network: Network) -> list[Planner]:
    if issubclass(kind, TwoTierPlanner) and len(network.tiers) > 2:
        pairs = itertools.combinations(network.tier_names, 2)
        return [kind(case.temperatures, pair=pair) for pair in pairs]
    return [kind(case.temperatures)]


def _entry(
    case: Case, network: Network, objective: Objective, profiles: list[Profile], name: str, planner: Planner
) -> Entry | None:
    latency: dict[str, float] = {}
    loss: dict[str, float] = {}
    try:
        plan = planner.plan((case.records, *case.coded), profiles, network, objective)
    except PlanInfeasible as error:
        return Entry(case.name, network.name, name, None, latency, loss, str(error))
    except ConfigError:
        return None  # no planner for this network, such as edge-only for two tiers
    records = case.of_variant(plan.variant)
    table = cost_table(profiles, network, plan.codec, records.exits, precision=plan.precision, coded=plan.coded)
    for split in SPLITS:
        found = replay(plan, records.on(split), table)
        latency[split] = float(found.latency_s.mean())
        loss[split] = float(case.records.on(split).correct[-1].mean() - found.correct.mean())
    if loss["tune"] > objective.accuracy_loss + TINY:
        return Entry(case.name, network.name, name, None, {}, {}, f"loses {loss['tune']:g} of the accuracy")
    return Entry(case.name, network.name, name, plan, latency, loss)
