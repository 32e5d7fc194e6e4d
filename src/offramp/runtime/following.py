"""What a device follows: one plan, and what forced modes make of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from offramp.runtime.first_exit import FirstExit
from offramp.runtime.modes import Mode
from offramp.runtime.route import Route
from offramp.runtime.tier import Tier

__all__ = ["Following"]


@dataclass(frozen=True)
class Following:
    """One plan as the device follows it; a request looks at one of these from beginning to end.

    ``route`` is the plan's, ``local`` the same gates with every segment on the device. ``first`` is the short
    way for single samples, where there is one in the device's usual mode.
    """

    route: Route
    local: Route
    first: FirstExit | None

    @classmethod
    def of(cls, tier: Tier, route: Route, mode: Mode, quick: bool) -> Following:
        """Load and warm what the mode needs.

        Parameters
        ----------
        tier : the device
        route : of the plan
        mode : the device's usual one
        quick : whether single samples may take the short way
        """
        local = replace(route, start=0, stop=len(tier.exit_of), next_tier=None)
        usual = local if mode == "only-device" else route
        if mode in ("only-device", "prefer-device"):
            tier.warm(local, 0, local.stop)
        else:
            alone = any(tier.exit_of[index] is not None for index in range(route.stop))
            tier.warm(route, 0, route.stop if alone else tier.next_exit(route.stop))
        quick = quick and mode in ("plan", "only-device") and FirstExit.possible(tier, usual)
        return cls(route, local, FirstExit(tier, usual) if quick else None)
