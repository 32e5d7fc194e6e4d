"""Seconds, counted by size."""

from __future__ import annotations

from bisect import bisect_left

__all__ = ["BOUNDS_S", "Histogram"]

#: upper bounds of the buckets
BOUNDS_S = (1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 5e-2, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Histogram:
    """Counts of seconds by bucket, and their sum. Adding is not locked.

    Examples
    --------
    >>> histogram = Histogram()
    >>> for seconds in (0.0002, 0.0002, 30.0):
    ...     histogram.add(seconds)
    >>> histogram.buckets[1], histogram.buckets[-1], round(histogram.sum_s, 4)
    (2, 1, 30.0004)
    >>> histogram.cumulative()[-1]
    ('+Inf', 3.0)
    """

    __slots__ = ("buckets", "sum_s")

    def __init__(self) -> None:
        self.buckets = [0] * (len(BOUNDS_S) + 1)
        self.sum_s = 0.0

    def add(self, seconds: float) -> None:
        """Count one duration."""
        self.buckets[bisect_left(BOUNDS_S, seconds)] += 1
        self.sum_s += seconds

    def cumulative(self) -> list[tuple[str, float]]:
        """Upper bound, and how many were at most that."""
        found, total = [], 0
        for bound, count in zip((*BOUNDS_S, "+Inf"), list(self.buckets), strict=True):
            total += count
            found.append((str(bound), float(total)))
        return found
