"""At which bandwidths a plan stays the best."""

from __future__ import annotations

import math

from offramp.planning.breakpoints import configuration_map
from offramp.planning.problem import Problem
from offramp.planning.replanner import Replanner
from offramp.planning.result import Sensitivity

__all__ = ["sensitivity_of"]

#: bandwidths are looked at this many times below and above the present one
_SPAN = 1e3


def sensitivity_of(problem: Problem) -> tuple[Sensitivity, ...]:
    """For every link, between which bandwidths the best plan stays the same, all else fixed.

    Limits further away than a thousand times are given as 0 and ``None``.
    """
    replanner = Replanner.of(problem)
    best = replanner.replan().index
    found = []
    for index, link in enumerate(problem.network.links):
        here, name = link.bandwidth_bps, f"{link.source}-{link.target}"
        low, high = here / _SPAN, here * _SPAN
        parts = [part for part in configuration_map(replanner, index, low, high) if part.choice.index == best]
        least = min((part.low_bps for part in parts), default=here)
        most = max((part.high_bps for part in parts), default=here)
        found.append(
            Sensitivity(
                link=name,
                low_bps=0.0 if math.isclose(least, low) else least,
                high_bps=None if math.isclose(most, high) else most,
            )
        )
    return tuple(found)
