"""What happened to the samples in virtual time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Simulated"]


@dataclass(frozen=True)
class Simulated:
    """Per sample (n,) in order of arrival: exit, right or not, arrival and latency in seconds, bytes that left the
    first tier, and modelled joules where the network names energy models (else ``None``).

    ``busy_share`` is the part of the whole time each tier worked.
    """

    exit: NDArray[np.intp]
    correct: NDArray[np.bool_]
    arrival_s: NDArray[np.float64]
    latency_s: NDArray[np.float64]
    sent_bytes: NDArray[np.float64]
    energy_j: NDArray[np.float64] | None
    busy_share: dict[str, float]

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.correct.mean())

    def late(self, deadline_s: float) -> NDArray[np.bool_]:
        """(n,) whether the answer came after the deadline."""
        return np.asarray(self.latency_s > deadline_s + 1e-9)

    def miss_rate(self, deadline_s: float) -> float:
        """Share of the samples whose answer came after the deadline."""
        return float(self.late(deadline_s).mean())
