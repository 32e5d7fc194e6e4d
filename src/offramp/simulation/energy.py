"""Modelled joules of a sample on the first tier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.precision import precision_at
from offramp.links.network import Network
from offramp.planning.costs import by_tier, exit_segments_of
from offramp.planning.plan import Plan
from offramp.profiles.energy import energy_model
from offramp.profiles.profile import Profile
from offramp.simulation.journey import Stage, sent_bytes

__all__ = ["exit_energy_j"]


def exit_energy_j(
    plan: Plan,
    profiles: Mapping[str, Profile] | Sequence[Profile],
    network: Network,
    ways: Sequence[tuple[Stage, ...]],
) -> NDArray[np.float64] | None:
    """(E,) joules by exit: the segments the first tier runs, and what it sends, at the declared rate of its link.

    Waiting is not counted. ``None`` where the network names no energy model for the first tier.

    Parameters
    ----------
    ways : (E,) as `offramp.simulation.journey.journeys` gives them

    Raises
    ------
    ConfigError : no such energy model
    RecordMismatch : the profile does not say what the model needs
    """
    name = network.tiers[0].energy
    if name is None:
        return None
    model = energy_model(name)
    profile = by_tier(profiles, network)[0]
    here = [tier == network.tiers[0].name for tier in plan.placement]
    segment_j = np.zeros(len(here))
    for cost in profile.segments:
        if cost.batch == 1 and here[cost.segment] and cost.precision == precision_at(plan.precision, cost.segment):
            segment_j[cost.segment] = model.segment_energy_j(cost)
    found = np.cumsum(segment_j)[list(exit_segments_of(profile, len(plan.temperatures)))]
    for exit_index, way in enumerate(ways):
        if network.links:
            link, size = network.links[0], sent_bytes(way)
            found[exit_index] += model.sent_energy_j(size, link.transfer_s(size)) + link.energy_j_per_byte * size
    return np.asarray(found, np.float64)
