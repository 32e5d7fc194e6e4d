"""Timing calls in a process of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.pace import Pace

__all__ = ["MIN_REPEATS", "Timer", "pinned"]

#: repeats however slow the work is
MIN_REPEATS = 15
_WARM_UPS = 3


class Timer:
    """Times calls at the pace of the tier: at least `MIN_REPEATS`, then up to ``repeats`` while the budget lasts.

    Parameters
    ----------
    pace : how slow the tier is
    repeats : at most so many timings of one piece of work
    budget_s : seconds for each piece, rests included
    rest_s : seconds before each call, so that it finds the caches as work does that was waited for
    """

    def __init__(self, pace: Pace, repeats: int, budget_s: float, rest_s: float = 0.0) -> None:
        self._pace = pace
        self._repeats = repeats
        self._budget_s = budget_s
        self._rest_s = rest_s

    def cpu_seconds(self, call: Callable[[int], object]) -> NDArray[np.float64]:
        """The same of this thread's processor time: without what others on the processor take."""
        return self.seconds(call, time.thread_time)

    def seconds(
        self, call: Callable[[int], object], clock: Callable[[], float] = time.perf_counter
    ) -> NDArray[np.float64]:
        """Seconds of ``call(i)`` for i = 0, 1, ..., after a few calls to warm up."""
        for i in range(_WARM_UPS):
            call(i)
        taken: list[float] = []
        end_s = time.perf_counter() + self._budget_s
        while len(taken) < MIN_REPEATS or (len(taken) < self._repeats and time.perf_counter() < end_s):
            if self._rest_s:
                time.sleep(self._rest_s)
            begin_s = clock()
            self._pace.run(call, len(taken))
            taken.append(clock() - begin_s)
        return np.array(taken)


@contextmanager
def pinned() -> Iterator[int | None]:
    """Keep this process on one processor, the last it may use; gives its number, or ``None`` where that cannot be."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    cpu = max(before)
    try:
        os.sched_setaffinity(0, {cpu})
    except OSError:  # not every container allows it
        yield None
        return
    try:
        yield cpu
    finally:
        os.sched_setaffinity(0, before)
