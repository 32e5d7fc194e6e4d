"""What the caller gets."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offramp.runtime.stamps import Stamps

__all__ = ["DEGRADED_REASONS", "Answer"]

#: why an answer may come from an earlier exit than the plan wanted
DEGRADED_REASONS = ("deadline", "link_down", "refused", "overload", "breaker_open")


class Answer(NamedTuple):
    """One sample's answer.

    ``label`` is the class index, ``probabilities`` (K,), ``confidence`` the highest of them at the
    exit's temperature, ``exit`` the exit's index, ``tier`` where it was computed. ``degraded`` is
    ``None``, or the reason why an earlier exit than planned had to answer. ``compute_s`` are seconds
    of compute per tier that took part, ``sent_bytes`` what left the device for this sample.
    ``stamps`` say when each tier did what, where the device was told to ask for that.
    """

    label: int
    probabilities: NDArray[np.float32]
    confidence: float
    exit: int
    tier: str
    latency_s: float
    degraded: str | None = None
    compute_s: dict[str, float] | None = None
    sent_bytes: int = 0
    stamps: dict[str, Stamps] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain types, for JSON."""
        stamps = None if self.stamps is None else {tier: stamp._asdict() for tier, stamp in self.stamps.items()}
        return {**self._asdict(), "probabilities": [float(p) for p in self.probabilities], "stamps": stamps}
