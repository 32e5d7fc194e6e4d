"""Timing calls."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from offramp.cascade.pace import Pace
from offramp.errors import ConfigError
from offramp.profiles.measure import measure
from offramp.profiles.profile import TransportCost
from offramp.profiles.timing import MIN_REPEATS, Timer
from tests.support.tiny import make_tiny_cascade


def test_a_call_is_timed_without_the_rest_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s, slept = [0.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now_s[0] += seconds

    def call(_: int) -> None:
        now_s[0] += 0.25

    monkeypatch.setattr(time, "sleep", sleep)
    monkeypatch.setattr(time, "perf_counter", lambda: now_s[0])
    timer = Timer(Pace(), MIN_REPEATS, 100.0, rest_s=0.5)
    assert timer.seconds(call, lambda: now_s[0]).tolist() == [0.25] * MIN_REPEATS
    assert slept == [0.5] * MIN_REPEATS


@pytest.mark.parametrize("rest_s", [-1.0, float("nan"), float("inf")])
def test_a_rest_must_be_a_time(tmp_path: Path, rest_s: float) -> None:
    cascade = make_tiny_cascade(tmp_path)
    transport = TransportCost(hop_s=0.0, request_overhead_bytes=0.0, answer_bytes=0.0)
    with pytest.raises(ConfigError, match="rest_s must be zero or more seconds"):
        measure(cascade.path, "edge", transport=transport, rest_s=rest_s)


def test_a_rest_is_passed_on_to_the_measuring_process(tmp_path: Path) -> None:
    cascade = make_tiny_cascade(tmp_path)
    transport = TransportCost(hop_s=0.0, request_overhead_bytes=0.0, answer_bytes=0.0)
    profile = measure(cascade.path, "edge", transport=transport, rest_s=0.02, repeats=200, budget_s=0.1)
    assert {cost.repeats for cost in profile.segments} == {MIN_REPEATS}  # the rests use the budget up
