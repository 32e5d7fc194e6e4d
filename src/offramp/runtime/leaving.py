"""Who leaves at the exits of one tier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.segment import SegmentOutput
from offramp.runtime.route import Route

if TYPE_CHECKING:
    from offramp.runtime.tier import Tier

__all__ = ["Leaving"]

Array = NDArray[Any]


class Leaving:
    """Who leaves at an exit: those the plan lets go, and everyone when the time does not reach further."""

    def __init__(
        self, tier: Tier, route: Route, rows: int, stop: int, deadline_s: float | None, labels: Array | None
    ) -> None:
        self.tier, self.route, self.stop, self.deadline_s = tier, route, stop, deadline_s
        if labels is None and route.needs_labels(0):
            labels = np.empty((0, rows), np.int64)
        #: (e, m) what the exits so far answered to the rows still here, where a gate asks
        self.labels = labels
        self.here = np.arange(rows, dtype=np.intp)
        self.cut_short: NDArray[np.intp] | None = None

    def __call__(self, exit_index: int, output: SegmentOutput) -> NDArray[np.bool_]:
        assert output.confidence is not None
        assert output.probabilities is not None
        stopped = self.route.leaves(exit_index, output.confidence, output.probabilities, self.labels)
        if self.labels is not None:
            assert output.label is not None
            self.labels = np.concatenate([self.labels, output.label[None]])[:, ~stopped]
        if self.deadline_s is None:
            return stopped
        self.here = self.here[~stopped]
        begin = self.tier.manifest.exit_segments[exit_index] + 1
        if len(self.here) and not self.tier.in_time(self.route, begin, self.stop, len(self.here), self.deadline_s):
            self.cut_short = self.here
            return np.ones(len(stopped), bool)
        return stopped
