"""What a monitor of the links reports."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from offramp.links.trace import Trace
from offramp.planning.controllers.base import Sent

__all__ = ["Monitor"]


class Monitor:
    """Every ``interval_s`` the bytes each link could carry since the last report.

    Examples
    --------
    >>> monitor = Monitor([Trace((0.0, 1.0), (8e6, 4e6))], interval_s=1.0)
    >>> [sent.bandwidth_bps for sent in monitor.until(2.5)], list(monitor.until(2.9))
    ([8000000.0, 4000000.0], [])
    """

    def __init__(self, rates: Sequence[Trace], interval_s: float) -> None:
        self._rates, self._interval_s = rates, interval_s
        self._reports = 0

    def until(self, now_s: float) -> Iterator[Sent]:
        """The reports that have fallen due, oldest first."""
        while (self._reports + 1) * self._interval_s <= now_s:
            begin_s = self._reports * self._interval_s
            self._reports += 1
            for link, rate in enumerate(self._rates):
                carried = rate.bytes_between(begin_s, begin_s + self._interval_s)
                yield Sent(link, carried, self._interval_s, begin_s + self._interval_s)
