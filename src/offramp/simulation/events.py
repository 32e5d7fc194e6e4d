"""Virtual time: events in order, and servers that take one job at a time."""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable

__all__ = ["Events", "Server"]


class Events:
    """A queue of callbacks in virtual time; those of the same instant run in the order they were added.

    Examples
    --------
    >>> events, seen = Events(), []
    >>> events.at(2.0, lambda: seen.append("late"))
    >>> events.at(1.0, lambda: seen.append("early"))
    >>> events.run()
    >>> seen, events.now_s
    (['early', 'late'], 2.0)
    """

    def __init__(self, start_s: float = 0.0) -> None:
        self.now_s = start_s
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()

    def at(self, time_s: float, then: Callable[[], None]) -> None:
        """Call ``then`` at ``time_s``, which must not lie in the past."""
        if time_s < self.now_s:
            raise ValueError(f"time cannot go back: {time_s} is before {self.now_s}")
        heapq.heappush(self._heap, (time_s, next(self._order), then))

    def after(self, delay_s: float, then: Callable[[], None]) -> None:
        """Call ``then`` after ``delay_s``."""
        self.at(self.now_s + delay_s, then)

    def run(self) -> None:
        """Until nothing is left."""
        while self._heap:
            self.now_s, _, then = heapq.heappop(self._heap)
            then()


class Server:
    """Serves jobs one at a time, first come first served: a tier's processor, one direction of a link.

    ``busy_s`` adds up the time it worked.

    Examples
    --------
    >>> events, done = Events(), []
    >>> server = Server(events)
    >>> for _ in range(2):
    ...     server.serve(lambda start_s: 1.5, lambda: done.append(events.now_s))
    >>> events.run()
    >>> done, server.busy_s
    ([1.5, 3.0], 3.0)
    """

    def __init__(self, events: Events) -> None:
        self.busy_s = 0.0
        self._events = events
        self._busy = False
        self._waiting: deque[tuple[Callable[[float], float], Callable[[], None]]] = deque()

    def serve(self, seconds: Callable[[float], float], then: Callable[[], None]) -> None:
        """Queue a job. ``seconds`` is asked for its duration when it starts (with that time)."""
        self._waiting.append((seconds, then))
        if not self._busy:
            self._start()

    def _start(self) -> None:
        self._busy = True
        seconds, then = self._waiting.popleft()
        duration_s = seconds(self._events.now_s)
        self.busy_s += duration_s
        self._events.after(duration_s, lambda: self._finish(then))

    def _finish(self, then: Callable[[], None]) -> None:
        self._busy = False
        if self._waiting:
            self._start()
        then()
