"""Not asking a peer that has stopped answering."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Literal, NamedTuple

from offramp.errors import ConfigError

__all__ = ["Admission", "Breaker", "State"]

State = Literal["closed", "open", "half_open"]


class Admission(NamedTuple):
    """Leave to ask the peer once. What came of it is told to `Breaker.record`.

    ``probe``: the breaker is not closed, and nobody should wait for this answer. ``era`` counts the
    breaker's changes of state, so that news from before the last change is recognised.
    """

    probe: bool
    era: int


class Breaker:
    """A circuit breaker: closed, it lets everything through; open, nothing; half-open, single probes.

    It opens after ``failures`` failures in a row. ``open_s`` later one probe may go; if it fails, the pause
    doubles, up to ``longest_s``; if ``probes`` of them succeed one after the other, the breaker closes. A
    probe of which nothing is heard within the pause counts as lost, and another may go. News of requests
    admitted before the last change of state changes nothing. Any thread may use it.

    Parameters
    ----------
    now : monotonic seconds
    failures : in a row, until it opens
    open_s, longest_s : first and longest pause before a probe
    probes : successes in a row that close it

    Raises
    ------
    ConfigError : a setting is out of range

    Source: Nygard, Release It!, 2007, chapter 5.

    Examples
    --------
    >>> time = [0.0]
    >>> breaker = Breaker(lambda: time[0], failures=1, open_s=0.5)
    >>> breaker.record(breaker.admit(), ok=False)
    >>> breaker.state, breaker.admit()
    ('open', None)
    >>> time[0] = 0.5
    >>> probe = breaker.admit()
    >>> breaker.state, breaker.admit()
    ('half_open', None)
    >>> breaker.record(probe, ok=True)
    >>> breaker.state
    'closed'
    """

    def __init__(
        self,
        now: Callable[[], float],
        *,
        failures: int = 5,
        open_s: float = 0.1,
        longest_s: float = 5.0,
        probes: int = 1,
    ) -> None:
        if failures < 1 or probes < 1:
            raise ConfigError(
                f"a breaker needs at least 1 failure to open and 1 probe to close, not {failures}, {probes}"
            )
        if not 0 < open_s <= longest_s:
            raise ConfigError(f"a breaker's pauses must be positive and rise, not {open_s} to {longest_s} s")
        self.failures = failures
        self.open_s = open_s
        self.longest_s = longest_s
        self.probes = probes
        #: how often it has opened
        self.opened = 0
        self._now = now
        self._lock = threading.Lock()
        self._state: State = "closed"
        self._era = 0
        self._in_a_row = 0
        self._pause_s = open_s
        self._next_s = 0.0

    @property
    def state(self) -> State:
        """``open`` until a probe has been admitted."""
        return self._state

    @property
    def pause_s(self) -> float:
        """Seconds from opening, or from a probe, to the next probe."""
        return self._pause_s

    def admit(self) -> Admission | None:
        """Leave to ask the peer now, or ``None``."""
        with self._lock:
            if self._state == "closed":
                return Admission(False, self._era)
            now_s = self._now()
            if now_s < self._next_s:
                return None
            self._state = "half_open"
            self._next_s = now_s + self._pause_s
            return Admission(True, self._era)

    def record(self, admission: Admission, ok: bool) -> None:
        """Whether the peer answered in time."""
        with self._lock:
            if admission.era != self._era:
                return
            if self._state == "closed":
                self._in_a_row = 0 if ok else self._in_a_row + 1
                if self._in_a_row >= self.failures:
                    self._open(self.open_s)
            elif not ok:
                self._open(min(2 * self._pause_s, self.longest_s))
            else:
                self._in_a_row += 1
                self._next_s = self._now()
                if self._in_a_row >= self.probes:
                    self._change("closed")

    def alive(self) -> None:
        """The peer has answered a probe, though not in time: unless the breaker is closed, another may go now."""
        with self._lock:
            if self._state != "closed":
                self._pause_s = self.open_s
                self._next_s = min(self._next_s, self._now())

    def _open(self, pause_s: float) -> None:
        self._change("open")
        self.opened += 1
        self._pause_s = pause_s
        self._next_s = self._now() + pause_s

    def _change(self, state: State) -> None:
        self._state, self._in_a_row = state, 0
        self._era += 1

    def __repr__(self) -> str:
        return f"Breaker(state={self._state!r}, failures={self.failures}, pause_s={self._pause_s:g})"
