"""Mobile, edge and cloud hold growing prefixes of one network: what its paths cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["BEGINS", "GRID", "LAYERS", "MAIN", "TIERS", "HandOver", "Prices"]

Floats = NDArray[np.float64]
HandOver = Literal["features", "input"]

LAYERS = 6
#: exits 0 to 5 stand behind layers 1 to 6; the last exit of mobile, edge and cloud
TIERS = (1, 3, 5)
#: the first exit of each
BEGINS = (0, 2, 4)


@dataclass(frozen=True)
class Prices:
    """Of shipping a sample to the edge and to the cloud, in layers: a layer costs 1.

    Examples
    --------
    >>> Prices(1.0, 2.0).all_cloud
    8.0
    >>> Prices(1.0, 2.0).paths("input")[0].tolist()
    [1.0, 2.0, 6.0, 7.0, 14.0, 15.0]
    >>> Prices(1.0, 2.0).paths("features")[1].tolist()
    [inf, inf, 4.0, 5.0, 8.0, 9.0]
    """

    edge: float
    cloud: float

    @property
    def all_cloud(self) -> float:
        """What every sample costs that goes to the cloud at once."""
        return LAYERS + self.cloud

    def paths(self, hand_over: HandOver) -> Floats:
        """(3, 6) cost of beginning at a tier and leaving by an exit; infinite where there is no such path.

        A tier that goes on hands over its features, and the next computes the layers that are left; or the input, and
        the next starts again. Climbing to a tier costs as much as going there at once.
        """
        found = np.full((len(BEGINS), LAYERS), np.inf)
        to_tier = (0.0, self.edge, self.cloud)
        for begin in range(len(BEGINS)):
            spent = to_tier[begin]
            for tier in range(begin, len(BEGINS)):
                if tier > begin:
                    spent += to_tier[tier] + (TIERS[tier - 1] + 1 if hand_over == "input" else 0)
                for exit_index in range(BEGINS[tier], TIERS[tier] + 1):
                    found[begin, exit_index] = spent + exit_index + 1
        return found

    def paid(self, mu: float, hand_over: HandOver) -> Floats:
        """`paths` in mistakes, a layer at ``mu`` of them."""
        found = self.paths(hand_over)
        there = np.isfinite(found)
        found[there] *= mu
        return found

    @property
    def hops(self) -> Floats:
        """(3,) cost of answering at the last exit of each tier at once."""
        return np.asarray(np.array(TIERS) + 1.0 + np.array([0.0, self.edge, self.cloud]))


#: published costs of this family price an offload at half a layer to half of the network
GRID = (Prices(0.5, 1.0), Prices(1.0, 2.0), Prices(1.5, 3.0), Prices(1.0, 6.0))
MAIN = GRID[1]
