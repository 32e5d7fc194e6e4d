"""Which choices the limits on placements leave: pins, memory, an input that stays, placements allowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.errors import PlanInfeasible
from offramp.links.network import Network
from offramp.planning.choices import Choices
from offramp.planning.costs import model_bytes
from offramp.planning.objective import Objective
from offramp.planning.pin import pinned
from offramp.planning.variants import Variant
from offramp.profiles.profile import Profile

__all__ = ["LIMITS", "limits", "within_limits"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]

#: limits on placements, in the order they are named when they bind
LIMITS = ("pins", "memory", "input_stays", "placements")


def limits(
    choices: Choices,
    variants: Sequence[Variant],
    profiles: Sequence[Profile],
    objective: Objective,
    placements: Sequence[Sequence[str]] | None,
) -> dict[str, Bools]:
    """(R,) for every limit that is set, the choices that keep it.

    Parameters
    ----------
    profiles : of the tiers, in their order
    placements : tier names per segment that are allowed

    Raises
    ------
    ConfigError : a pin of a segment or tier there is not
    RecordMismatch : a placement that does not fit, or a profile without the sizes of its segments
    PlanInfeasible : pins that contradict each other, or no placement fits the memory
    """
    found: dict[str, Bools] = {}
    if objective.pins:
        found["pins"] = pinned(choices.tiers, choices.network.tier_names, objective.pins)
    if any(np.isfinite(tier.memory_bytes) for tier in choices.network.tiers):
        needed = _memory(choices, variants, profiles)
        found["memory"] = np.asarray((needed <= _room(choices.network)).all(1))
    if objective.input_stays:
        found["input_stays"] = np.asarray(choices.tiers[:, 0] == 0)
    if placements is not None:
        wanted = [choices.tables[0].row_of(placement) for placement in placements]
        found["placements"] = np.isin(choices.placement, wanted)
    kept = within_limits(found, len(choices))
    if not kept.any():
        raise PlanInfeasible(_none_left(found, choices, lambda: _memory(choices, variants, profiles)))
    return found


def within_limits(kept: dict[str, Bools], choices: int, without: str = "") -> Bools:
    """(R,) the choices that keep all of the limits but ``without``."""
    masks = [mask for name, mask in kept.items() if name != without]
    return np.asarray(np.all([np.ones(choices, bool), *masks], axis=0))


def _room(network: Network) -> Floats:
    return np.array([tier.memory_bytes for tier in network.tiers])


def _memory(choices: Choices, variants: Sequence[Variant], profiles: Sequence[Profile]) -> Floats:
    """(R, K) bytes of the segments every tier holds."""
    needed = np.empty((len(choices), len(profiles)))
    for which, variant in enumerate(variants):
        mine = choices.variant == which
        for tier, profile in enumerate(profiles):
            needed[mine, tier] = (choices.tiers[mine] == tier) @ model_bytes(profile, variant.name.precision)
    return needed


def _none_left(kept: dict[str, Bools], choices: Choices, memory: Callable[[], Floats]) -> str:
    others = within_limits(kept, len(choices), without="memory")
    if "memory" in kept and others.any():
        needed = memory()[others]
        over = np.maximum(needed - _room(choices.network), 0.0)
        best = int(over.sum(1).argmin())
        tier = int(over[best].argmax())
        name = choices.network.tier_names[tier]
        return (
            f"no placement fits the memory: the nearest needs {needed[best, tier]:,.0f} bytes on {name!r}, which has "
            f"{choices.network.tiers[tier].memory_bytes:,.0f}; give it more, or a smaller precision"
        )
    names = " and ".join(kept)
    return f"no placement keeps {names} together; give one of them up"
