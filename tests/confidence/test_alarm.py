"""The alarm: its wealth by brute force, its false alarms, its delay, and what it refuses."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.confidence.alarm import _SHARES, Alarm, first_alarms
from offramp.errors import ConfigError, SampleError

LIMITS = st.floats(0.01, 0.9)


def capital(losses: list[float], limit: float, low: float = 0.0) -> float:
    """By its definition: every part of the capital bets from the time it enters."""
    total = 0.0
    for share in _SHARES:
        for entry in range(len(losses)):
            part = (1 / math.log2(2 + entry) - 1 / math.log2(3 + entry)) / len(_SHARES)
            factors = [1 + share * (loss - limit) / (limit - low) for loss in losses[entry:]]
            total += part * math.prod(factors)
    return total + 1 / math.log2(2 + len(losses))


@given(losses=st.lists(st.floats(0, 1), min_size=1, max_size=12), limit=LIMITS)
def test_the_capital_is_that_of_the_definition(losses: list[float], limit: float) -> None:
    alarm = Alarm(limit, 1e-300)
    highest = 1.0
    for seen, loss in enumerate(losses, 1):
        alarm.update(loss)
        highest = max(highest, capital(losses[:seen], limit))
    assert alarm.peak == pytest.approx(highest, rel=1e-9)
    assert alarm.p_value == pytest.approx(1 / highest, rel=1e-9)


@given(limit=LIMITS, rows=st.integers(1, 7))
def test_a_fair_game_gains_nothing(limit: float, rows: int) -> None:
    mean = sum(
        capital(list(losses), limit) * limit ** sum(losses) * (1 - limit) ** (rows - sum(losses))
        for losses in product([0.0, 1.0], repeat=rows)
    )
    assert mean == pytest.approx(1.0, rel=1e-9)


@settings(deadline=None)
@given(seed=st.integers(0, 2**20), limit=st.floats(0.05, 0.5), rate=st.floats(0, 1), rows=st.integers(0, 200))
def test_many_streams_are_single_streams(seed: int, limit: float, rate: float, rows: int) -> None:
    losses = np.random.default_rng(seed).random((3, rows)) < rate
    raised = first_alarms(losses, limit, 0.05)
    for stream, at in zip(losses.astype(float), raised.tolist(), strict=True):
        alarm = Alarm(limit, 0.05)
        for loss in stream.tolist():
            alarm.update(loss)
        assert (alarm.raised_at or 0) == at


@settings(deadline=None)
@given(seed=st.integers(0, 2**20), cut=st.integers(0, 100), low=st.sampled_from([-1.0, 0.0]))
def test_json_goes_on_where_it_was(seed: int, cut: int, low: float) -> None:
    losses = np.random.default_rng(seed).uniform(low, 1, 100).tolist()
    whole, first = Alarm(0.4, 0.01, low), Alarm(0.4, 0.01, low)
    for loss in losses[:cut]:
        first.update(loss)
    second = Alarm.from_json(first.to_json())
    assert second == first
    for index, loss in enumerate(losses):
        whole.update(loss)
        if index >= cut:
            second.update(loss)
    assert second == whole
    assert repr(second) == repr(whole)


@pytest.mark.parametrize("limit", [0.02, 0.2])
@pytest.mark.parametrize("low", [-1.0, 0.0])
def test_false_alarms_at_the_limit_stay_below_delta(limit: float, low: float) -> None:
    """The mean is exactly the limit, the hardest case."""
    delta, streams = 0.1, 1000
    rng = np.random.default_rng(1)
    if low < 0:
        losses: np.ndarray[Any, Any] = rng.choice(
            [-1, 0, 1], (streams, 1500), p=[0.1 - limit / 2, 0.8, 0.1 + limit / 2]
        )
    else:
        losses = rng.random((streams, 1500)) < limit
    rate = (first_alarms(losses, limit, delta, low) > 0).mean()
    assert rate <= delta + 3 * math.sqrt(delta * (1 - delta) / streams)


def test_losses_that_depend_on_the_past_are_allowed() -> None:
    """An adversary who knows the capital may choose any law with a mean of at most the limit."""
    rng = np.random.default_rng(2)
    raised = 0
    for _ in range(200):
        alarm = Alarm(0.1, 0.1)
        for _ in range(300):
            rate = 0.1 if alarm.peak > 2 else rng.choice([0.05, 0.1])
            alarm.update(float(rng.random() < rate))
        raised += alarm.raised_at is not None
    assert raised / 200 <= 0.1 + 3 * math.sqrt(0.09 / 200)


@pytest.mark.parametrize(("clean", "at_most"), [(0, 60), (1_000, 120), (100_000, 150)])
def test_a_late_change_is_found_soon(clean: int, at_most: int) -> None:
    rng = np.random.default_rng(3)
    losses = np.concatenate([rng.random((50, clean)) < 0.02, rng.random((50, 400)) < 0.4], 1)
    delay = first_alarms(losses, 0.1, 0.01) - clean
    assert (delay > 0).all()
    assert np.median(delay) <= at_most


def test_since_estimates_the_change() -> None:
    rng = np.random.default_rng(4)
    assert Alarm(0.1, 1e-4).since is None
    alarm = Alarm(0.1, 1e-4)
    for loss in np.concatenate([rng.random(2000) < 0.05, rng.random(500) < 0.5]).tolist():
        if alarm.update(loss):
            break
    assert alarm.raised_at is not None
    assert alarm.since is not None
    assert 1950 <= alarm.since <= alarm.raised_at


def test_once_raised_it_stays_raised() -> None:
    alarm = Alarm(0.1, 0.1)
    while not alarm.update(1.0):
        pass
    before = alarm.to_json()
    assert alarm.update(0.0)
    assert alarm.to_json() == before
    assert alarm.audited == alarm.raised_at
    assert alarm != "alarm"


@pytest.mark.parametrize(
    ("limit", "delta", "low", "match"),
    [
        (0.0, 0.1, 0, "inside"),
        (1.0, 0.1, 0, "inside"),
        (math.nan, 0.1, 0, "inside"),
        (0.1, 0, 0, "delta"),
        (0.1, 1, 0, "delta"),
    ],
)
def test_settings_that_make_no_sense(limit: float, delta: float, low: float, match: str) -> None:
    with pytest.raises(ConfigError, match=match):
        Alarm(limit, delta, low)
    with pytest.raises(ConfigError, match=match):
        first_alarms(np.zeros((1, 1)), limit, delta, low)


@pytest.mark.parametrize("loss", [-0.1, 1.1, math.nan])
def test_losses_outside_are_refused_and_change_nothing(loss: float) -> None:
    alarm = Alarm(0.1, 0.1)
    with pytest.raises(SampleError, match="outside"):
        alarm.update(loss)
    assert alarm == Alarm(0.1, 0.1)
    with pytest.raises(SampleError, match="must lie"):
        first_alarms([[loss]], 0.1, 0.1)


def test_streams_have_two_dimensions() -> None:
    with pytest.raises(SampleError, match="shape"):
        first_alarms(np.zeros(3), 0.1, 0.1)


@pytest.mark.parametrize("text", ["", "[]", "{}", Alarm(0.1, 0.1).to_json().replace("0.0, 0.0", "0.0", 1)])
def test_not_an_alarm(text: str) -> None:
    with pytest.raises(ConfigError, match="not an alarm"):
        Alarm.from_json(text)
