"""What many re-splits found: share, accuracy and outage of every method, and our curve of outage over share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from studies.calibration.temperatures import VARIANTS

__all__ = ["CERTIFIED", "DELTA", "LEARNT", "LEVEL", "PLAIN", "TARGETS", "Outcome"]

TARGETS = (0.7, 0.75, 0.8, 0.85, 0.9, 0.95)
#: the outage the certified gate holds, and the probability that its certificate is wrong
LEVEL, DELTA = 0.05, 0.05
CERTIFIED = "certified"
#: the last exit on the device decides, by the learnt probability of being right or by its highest probability
LEARNT, PLAIN = "learnt", "highest probability"

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Outcome:
    """Of R repeats with ``batches`` test batches each.

    By (target, method): ``share`` (R,) of rows decided on the device, ``accuracy`` (R,) of those, ``outage`` (R,).
    By (variant, exit): ``ece`` (R,). Means over all repeats for each ranking at thresholds from safe to bold:
    ``curve_share`` by ranking (C,) and ``curve_outage`` by (ranking, target) (C,).
    """

    share: dict[tuple[float, str], Floats]
    accuracy: dict[tuple[float, str], Floats]
    outage: dict[tuple[float, str], Floats]
    ece: dict[tuple[str, int], Floats]
    curve_share: dict[str, Floats]
    curve_outage: dict[tuple[str, float], Floats]
    batches: int

    def best_variant(self, target: float) -> str:
        """The calibrated variant that decides most at a mean outage of at most `LEVEL`, else that of least outage."""
        calibrated = VARIANTS[1:]
        holding = [v for v in calibrated if self.outage[target, v].mean() <= LEVEL]
        if holding:
            return max(holding, key=lambda v: float(self.share[target, v].mean()))
        return min(calibrated, key=lambda v: float(self.outage[target, v].mean()))

    def share_at(self, target: float, outage: float, ranking: str = LEARNT) -> float:
        """The largest share a ranking decides at no more than this mean outage, between thresholds interpolated.

        Examples
        --------
        >>> share, outage = {LEARNT: np.array([0.1, 0.2, 0.3])}, {(LEARNT, 0.8): np.array([0.01, 0.0, 0.1])}
        >>> curve = Outcome({}, {}, {}, {}, share, outage, 1)
        >>> curve.share_at(0.8, 0.0), round(curve.share_at(0.8, 0.05), 3), curve.share_at(0.8, 0.2)
        (0.2, 0.25, 0.3)
        """
        shares, outages = self.curve_share[ranking], self.curve_outage[ranking, target]
        held = np.flatnonzero(outages <= outage)
        if not len(held):
            return 0.0
        last = int(held[-1])
        if last + 1 == len(shares):
            return float(shares[-1])
        part = (outage - outages[last]) / (outages[last + 1] - outages[last])
        return float(shares[last] + part * (shares[last + 1] - shares[last]))
