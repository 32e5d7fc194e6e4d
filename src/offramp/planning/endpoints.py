"""Planners that run every segment on one tier, with the best gates for it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from offramp.errors import ConfigError
from offramp.links.network import Network
from offramp.planning.base import Planner
from offramp.planning.costs import by_tier, segments_of
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from offramp.planning.search import search
from offramp.profiles.profile import Profile
from offramp.records.records import Records

__all__ = ["CloudOnly", "DeviceOnly", "EdgeOnly"]


class _OneTier(Planner):
    @abstractmethod
    def tier(self, network: Network) -> str:
        """The tier that runs everything."""

    def plan(
        self,
        records: Records | Sequence[Records],
        profiles: Mapping[str, Profile] | Sequence[Profile],
        network: Network,
        objective: Objective,
    ) -> Plan:
        tier = self.tier(network)
        segments = segments_of(by_tier(profiles, network)[0])
        found = search(
            records,
            profiles,
            network,
            objective,
            temperatures=self.temperatures,
            codecs=self.codecs,
            gates=self.gates,
            placements=[[tier] * segments],
            planner=self.name,
            alternatives=0,
        )
        return found.plan


class DeviceOnly(_OneTier):
    """Everything on the first tier."""

    name = "device-only"

    def tier(self, network: Network) -> str:
        return network.tier_names[0]


class EdgeOnly(_OneTier):
    """Everything on the second of three or more tiers."""

    name = "edge-only"

    def tier(self, network: Network) -> str:
        if len(network.tiers) < 3:
            raise ConfigError(
                f"{network.name}: edge-only needs a tier between the first and the last, "
                f"but the tiers are {', '.join(network.tier_names)}"
            )
        return network.tier_names[1]


class CloudOnly(_OneTier):
    """Everything on the last tier."""

    name = "cloud-only"

    def tier(self, network: Network) -> str:
        return network.tier_names[-1]
