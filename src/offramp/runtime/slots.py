"""A bound on how many requests are under way."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import Future

from offramp.errors import ConfigError

__all__ = ["Slots"]


class Slots:
    """So many places, given out in the order they were asked for, to threads and coroutines of any loop alike.

    Parameters
    ----------
    count : places

    Raises
    ------
    ConfigError : fewer than one

    Examples
    --------
    >>> slots = Slots(2)
    >>> slots.take(); slots.take()
    >>> slots.free
    0
    >>> slots.give()
    >>> slots.free
    1
    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ConfigError(f"at least 1 request must be allowed in flight, not {count}")
        self.count = count
        self._free = count
        self._waiting: deque[Future[None]] = deque()
        self._lock = threading.Lock()

    @property
    def free(self) -> int:
        """Places nobody has."""
        return self._free

    def take(self) -> None:
        """Wait for a place, blocking the thread."""
        waiter = self._enter()
        if waiter is not None:
            waiter.result()

    async def take_async(self) -> None:
        """Wait for a place, leaving the event loop free."""
        waiter = self._enter()
        if waiter is None:
            return
        try:
            await asyncio.wrap_future(waiter)
        except asyncio.CancelledError:
            if not waiter.cancel():  # it was given a place in the same moment
                self.give()
            raise

    def give(self) -> None:
        """Hand a place back."""
        with self._lock:
            while self._waiting:
                waiter = self._waiting.popleft()
                if waiter.set_running_or_notify_cancel():
                    break
            else:
                self._free += 1
                return
        waiter.set_result(None)

    def _enter(self) -> Future[None] | None:
        with self._lock:
            if self._free:
                self._free -= 1
                return None
            waiter: Future[None] = Future()
            self._waiting.append(waiter)
            return waiter

    def __repr__(self) -> str:
        return f"Slots({self.count}, free={self._free})"
