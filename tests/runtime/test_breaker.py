"""The circuit breaker, against a model of it."""

from __future__ import annotations

import threading

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, precondition, rule

from offramp.clock import VirtualClock
from offramp.errors import ConfigError
from offramp.runtime.breaker import Admission, Breaker

FAILURES, OPEN_S, LONGEST_S, PROBES = 3, 1.0, 4.0, 2


class BreakerMachine(RuleBasedStateMachine):
    """Requests admitted, answered, lost and late in any order, time passing between."""

    admissions = Bundle("admissions")

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.breaker = Breaker(self.clock.now, failures=FAILURES, open_s=OPEN_S, longest_s=LONGEST_S, probes=PROBES)
        self.last_probe_s: float | None = None
        self.opened_s: float | None = None
        self.fresh_failures = 0

    @rule(seconds=st.sampled_from([0.0, 0.1, 0.5, 1.0, 2.0, 5.0]))
    def wait(self, seconds: float) -> None:
        self.clock.sleep(seconds)

    @rule(target=admissions)
    def ask(self) -> object:
        before, now_s, pause_s = self.breaker.state, self.clock.now(), self.breaker.pause_s
        admission = self.breaker.admit()
        if before == "closed":
            assert admission is not None
            assert not admission.probe
        elif admission is None:
            assert self.opened_s is not None
            since_s = max(self.opened_s, self.last_probe_s or 0.0)
            assert now_s < since_s + pause_s  # nobody is kept waiting longer than the pause
        else:
            assert admission.probe
            assert self.breaker.state == "half_open"
            assert self.opened_s is not None
            assert now_s >= self.opened_s + OPEN_S
            self.last_probe_s = now_s
        return multiple() if admission is None else admission

    @rule(admission=admissions, ok=st.booleans())
    def hear(self, admission: Admission, ok: bool) -> None:
        """Also twice, and long after."""
        before, fresh, opened = self.breaker.state, admission.era == self.breaker._era, self.breaker.opened
        pause_s = self.breaker.pause_s
        self.breaker.record(admission, ok)
        after = self.breaker.state
        if not fresh:
            assert (after, self.breaker.opened) == (before, opened)
        elif before == "closed":
            self.fresh_failures = 0 if ok else self.fresh_failures + 1
            assert (after == "open") == (self.fresh_failures == FAILURES)
        elif not ok:
            assert after == "open"
            assert self.breaker.pause_s == min(2 * pause_s, LONGEST_S)
        else:
            assert after in ("half_open", "closed")
        if self.breaker.opened > opened:
            self.opened_s, self.last_probe_s, self.fresh_failures = self.clock.now(), None, 0
        elif after == "half_open" and ok and fresh:
            self.last_probe_s = self.clock.now() - self.breaker.pause_s
        elif after == "closed" and before != "closed":
            self.fresh_failures = 0

    @rule()
    def show_life(self) -> None:
        """A probe is answered late: the next one may go now, and nothing else changes."""
        before, opened = self.breaker.state, self.breaker.opened
        self.breaker.alive()
        assert (self.breaker.state, self.breaker.opened) == (before, opened)
        if before != "closed":
            assert self.breaker.pause_s == OPEN_S
            self.opened_s = self.clock.now() - OPEN_S
            self.last_probe_s = None

    @precondition(lambda self: self.breaker.state != "closed")
    @rule()
    def probes_close_it(self) -> None:
        """Whatever has happened: after the pause, answered probes close it."""
        self.clock.sleep(LONGEST_S)
        for _ in range(PROBES):
            probe = self.breaker.admit()
            assert probe is not None
            self.breaker.record(probe, True)
            if self.breaker.state == "closed":
                break
        assert self.breaker.state == "closed"
        self.fresh_failures = 0

    @invariant()
    def pauses_are_bounded(self) -> None:
        assert OPEN_S <= self.breaker.pause_s <= LONGEST_S


TestBreakerMachine = BreakerMachine.TestCase
TestBreakerMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def test_the_pause_doubles_and_starts_anew() -> None:
    clock = VirtualClock()
    breaker = Breaker(clock.now, failures=1, open_s=1.0, longest_s=3.0)
    pauses = []
    for _ in range(4):
        admission = breaker.admit()
        assert admission is not None
        breaker.record(admission, False)
        pauses.append(breaker.pause_s)
        clock.sleep(breaker.pause_s)
    assert pauses == [1.0, 2.0, 3.0, 3.0]
    probe = breaker.admit()
    assert probe is not None
    breaker.record(probe, True)
    failed = breaker.admit()
    assert failed is not None
    breaker.record(failed, False)
    assert breaker.pause_s == 1.0


def test_one_success_forgives() -> None:
    breaker = Breaker(VirtualClock().now, failures=2)
    for ok in (False, True, False, True, False):
        admission = breaker.admit()
        assert admission is not None
        breaker.record(admission, ok)
    assert breaker.state == "closed"


def test_a_probe_lost_does_not_shut_it_for_ever() -> None:
    clock = VirtualClock()
    breaker = Breaker(clock.now, failures=1, open_s=1.0)
    breaker.record(Admission(False, 0), False)
    clock.sleep(1.0)
    assert breaker.admit() is not None
    assert breaker.admit() is None
    clock.sleep(1.0)
    assert breaker.admit() is not None


def test_threads_share_one_probe() -> None:
    clock = VirtualClock()
    breaker = Breaker(clock.now, failures=1, open_s=1.0)
    breaker.record(Admission(False, 0), False)
    clock.sleep(1.0)
    found: list[Admission | None] = []
    threads = [threading.Thread(target=lambda: found.append(breaker.admit())) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(admission is not None for admission in found) == 1


@pytest.mark.parametrize(
    "wrong",
    [{"failures": 0}, {"probes": 0}, {"open_s": 0.0}, {"open_s": 2.0, "longest_s": 1.0}, {"open_s": -1.0}],
)
def test_settings_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="a breaker"):
        Breaker(VirtualClock().now, **wrong)  # type: ignore[arg-type]  # wrong on purpose
