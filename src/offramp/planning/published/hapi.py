"""HAPI: which exits, and one threshold for them, on one device."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.links.network import Network
from offramp.planning.plan import Plan
from offramp.planning.published.base import PublishedPlanner
from offramp.planning.published.space import Space
from offramp.planning.published.threshold_scan import best_threshold

__all__ = ["Hapi"]


class Hapi(PublishedPlanner):
    """The subset of exits and the threshold with the least expected latency on a single tier: no network.

    As in the paper every design is scored from a table of confidences and right answers, nothing is run or trained
    again. The paper prunes dominated designs and iterates; this scan of every subset is exact, for up to 12 early
    exits. The paper leaves the heads of exits that are off away; ours are part of their segments, and stay charged.

    Parameters
    ----------
    temperatures, codecs : as for `Planner`
    tier : that runs everything, by name; default the first

    Source: Laskaridis et al., ICCAD 2020, arXiv 2008.03997.

    Examples
    --------
    >>> Hapi(tier="edge")
    Hapi(temperatures=None, codecs=None, tier='edge')
    """

    name = "hapi"
    exits = True

    def __init__(
        self,
        temperatures: Sequence[float] | None = None,
        codecs: Sequence[str] | None = None,
        *,
        tier: str | None = None,
    ) -> None:
        super().__init__(temperatures, codecs)
        self.tier = tier

    def placements(self, segments: int, network: Network) -> NDArray[np.int64]:
        tier = 0 if self.tier is None else network.tiers.index(network.tier(self.tier))
        return np.full((1, segments), tier)

    def choose(self, space: Space) -> Plan:
        return best_threshold(space, self.name, ("latency", "accuracy"))

    def _options(self) -> dict[str, object]:
        return {"tier": self.tier}
