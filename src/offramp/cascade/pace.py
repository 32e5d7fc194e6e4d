"""Making this machine as slow as a declared one."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from offramp.clock import Clock, SystemClock

__all__ = ["AGAIN", "Pace"]

#: the work is repeated once for each of these factors that ``slow_down`` reaches, to know its time with warm caches
AGAIN = (4.0, 8.0, 12.0)

P = ParamSpec("P")
R = TypeVar("R")


class Pace:
    """Runs pure functions ``slow_down`` times slower than this machine does.

    The time taken is ``slow_down`` times the CPU time of the calling thread, so that a neighbour on
    the same core does not get multiplied too. After a wait the caches are cold, and a small piece of
    work then takes several times longer than in a busy process; a machine that is slow all the time
    does not know that effect, so where there is time to spare (`AGAIN`) the work is done up to three
    times more and the fastest is what counts. ``Pace(1.0)`` adds nothing.

    Parameters
    ----------
    slow_down : at least 1
    clock : where the waiting happens

    Raises
    ------
    ValueError : ``slow_down`` below 1

    Examples
    --------
    >>> Pace(1.0).run(max, 1, 2)
    2
    """

    def __init__(self, slow_down: float = 1.0, clock: Clock | None = None) -> None:
        if not slow_down >= 1.0:
            raise ValueError(f"slow_down must be at least 1, not {slow_down}")
        self.slow_down = float(slow_down)
        self._clock = clock or SystemClock()

    def run(self, work: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call ``work`` and wait until a machine ``slow_down`` times slower would have finished."""
        if self.slow_down == 1.0:
            return work(*args, **kwargs)
        begin_s = self._clock.now()
        cpu_begin_s = time.thread_time()
        result = work(*args, **kwargs)
        cpu_s = time.thread_time() - cpu_begin_s
        for factor in AGAIN:
            if self.slow_down >= factor:
                cpu_begin_s = time.thread_time()
                work(*args, **kwargs)
                cpu_s = min(cpu_s, time.thread_time() - cpu_begin_s)
        self._clock.sleep(begin_s + cpu_s * self.slow_down - self._clock.now())
        return result

    def __repr__(self) -> str:
        return f"Pace({self.slow_down!r})"
