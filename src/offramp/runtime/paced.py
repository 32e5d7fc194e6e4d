"""A segment that takes as long as on the declared machine, and knows how long that is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from offramp.cascade.pace import Pace
from offramp.cascade.segment import Segment, SegmentOutput
from offramp.clock import Clock

__all__ = ["PacedSegment"]

#: weight of the newest measurement
_NEWEST = 0.2


class PacedSegment(Segment):
    """A loaded segment run at a tier's pace; ``row_s`` is a running mean of the seconds one row takes."""

    def __init__(self, segment: Segment, pace: Pace, clock: Clock) -> None:
        vars(self).update(vars(segment))  # the same session: loading it again would cost time and memory
        self.row_s = 0.0
        self._compute = segment.run
        self._pace = pace
        self._clock = clock

    def warm(self, tensors: Sequence[NDArray[Any]]) -> None:
        """Run one row without waiting, for a first guess of ``row_s``."""
        self._compute(tensors)
        begin_s = self._clock.now()
        self._compute(tensors)
        self.row_s = (self._clock.now() - begin_s) * self._pace.slow_down

    def run(self, tensors: Sequence[NDArray[Any]], temperature: float = 1.0) -> SegmentOutput:
        """Run n rows, ``slow_down`` times slower than this machine."""
        begin_s = self._clock.now()
        output = self._pace.run(self._compute, tensors, temperature)
        seconds = (self._clock.now() - begin_s) / max(1, len(tensors[0]))
        self.row_s += (seconds - self.row_s) * (_NEWEST if self.row_s else 1.0)
        return output
