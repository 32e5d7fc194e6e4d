"""What one tier has counted: plain integers, added to on the hot path and read by whoever asks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from offramp.runtime.histogram import Histogram

__all__ = ["STAGES", "Counters", "Sample"]

#: what a request waits for: its turn, reading its tensors, computing, and the answer of the next tier
STAGES = ("queue", "read", "compute", "beyond")


class Sample(NamedTuple):
    """One count: the metric's name, and the label that tells its values apart (empty: there is one)."""

    metric: str
    label: str
    label_value: str
    value: float


class Counters:
    """Counts of one tier since it started.

    Reading is safe from any thread. Adding is not locked: counts are exact as long as one thread at
    a time asks the tier to compute.

    Parameters
    ----------
    tier : its name
    segments : S
    exits : E

    Examples
    --------
    >>> counters = Counters("edge", segments=2, exits=2)
    >>> counters.rows_executed[1] += 3
    >>> counters.to_dict()["rows_executed.edge.1"]
    3
    """

    def __init__(self, tier: str, segments: int, exits: int) -> None:
        self.tier = tier
        self.requests = 0
        self.rows = 0
        self.bytes_in = 0
        self.bytes_out = 0
        self.late_answers = 0
        self.connections = 0
        self.batches = 0
        self.batch_rows = 0
        self.rows_executed = [0] * segments
        self.exit_rows = [0] * exits
        self.degraded: dict[str, int] = {}
        self.errors: dict[str, int] = {}
        self.latency = Histogram()
        self.add_latency = self.latency.add
        #: seconds by what they were spent on, where that was there
        self.stages = {stage: Histogram() for stage in STAGES}

    def add_stages(
        self, begin_s: float, started_s: float, read_s: float, computed_s: float, sent_s: float, heard_s: float
    ) -> None:
        """Count what one request's time went into, from when each began or ended; 0 is what did not happen."""
        stages = self.stages
        if started_s:
            stages["queue"].add(started_s - begin_s)
        if read_s:
            stages["read"].add(read_s - started_s)
        if computed_s:
            stages["compute"].add(computed_s - read_s)
        if heard_s:
            stages["beyond"].add(heard_s - sent_s)

    def add_degraded(self, reason: str, rows: int = 1) -> None:
        """Count rows that an earlier exit than planned had to answer."""
        self.degraded[reason] = self.degraded.get(reason, 0) + rows

    def add_error(self, code: str) -> None:
        """Count a request answered with an error."""
        self.errors[code] = self.errors.get(code, 0) + 1

    def samples(self) -> Iterator[Sample]:
        """Every count but the histograms."""
        for metric in (
            "requests",
            "rows",
            "bytes_in",
            "bytes_out",
            "late_answers",
            "connections",
            "batches",
            "batch_rows",
        ):
            yield Sample(metric, "", "", getattr(self, metric))
        for segment, count in enumerate(self.rows_executed):
            yield Sample("rows_executed", "segment", str(segment), count)
        for exit_index, count in enumerate(self.exit_rows):
            yield Sample("exit_rows", "exit", str(exit_index), count)
        for reason, count in sorted(self.degraded.items()):
            yield Sample("degraded", "reason", reason, count)
        for code, count in sorted(self.errors.items()):
            yield Sample("errors", "code", code, count)

    def to_dict(self) -> dict[str, float]:
        """``metric.TIER`` or ``metric.TIER.LABEL``, for example ``rows_executed.edge.2``."""
        return {
            ".".join(filter(None, (sample.metric, self.tier, sample.label_value))): sample.value
            for sample in self.samples()
        }
