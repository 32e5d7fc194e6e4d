"""What follows an alarm: the guarantee of a recertified threshold, and its refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from offramp.confidence.after_alarm import AfterAlarm, recertified_threshold, threshold_after
from offramp.errors import ConfigError, NotEnoughSamples, SampleError

GRID = np.linspace(0.5, 0.99, 50).tolist()


def test_the_recertified_threshold_keeps_the_limit() -> None:
    """P(wrong | confidence c) = 1 - c, so the answers above t are wrong with probability (1 - t) / 2."""
    rng = np.random.default_rng(0)
    delta, limit, repeats, broken = 0.1, 0.15, 500, 0
    for _ in range(repeats):
        confidence = rng.uniform(0.5, 1.0, 600)
        losses = rng.random(600) < 1 - confidence
        found = recertified_threshold(confidence, losses, limit, delta, GRID)
        assert found is None or found in GRID
        broken += found is not None and (1 - found) / 2 > limit
    assert broken / repeats <= delta + 3 * math.sqrt(delta * (1 - delta) / repeats)


def test_policies() -> None:
    confidence, losses = np.full(100, 0.9), np.zeros(100)
    assert threshold_after(AfterAlarm("send_on"), confidence, losses, 0.1, 0.05, [0.8]) is None
    assert threshold_after(AfterAlarm("recertify"), confidence, losses, 0.1, 0.05, [0.8]) == 0.8


def test_it_stays_closed_where_nothing_can_be_shown() -> None:
    assert recertified_threshold([0.9] * 28, [0] * 28, 0.1, 0.05, [0.8]) is None  # 29 rows are needed
    assert recertified_threshold([0.9] * 29, [0] * 29, 0.1, 0.05, [0.8]) == 0.8
    assert recertified_threshold([0.9] * 100, [1] * 100, 0.1, 0.05, [0.8]) is None
    assert recertified_threshold([0.9] * 100, [0] * 100, 0.1, 0.05, []) is None


def test_the_walk_ends_at_the_first_failure() -> None:
    confidence = np.repeat([0.95, 0.85, 0.75], [50, 50, 1000])
    losses = np.repeat([0, 1, 0], [50, 50, 1000])
    assert recertified_threshold(confidence, losses, 0.1, 0.05, [0.7, 0.8, 0.9]) == 0.9
    assert recertified_threshold(confidence, losses, 0.1, 0.05, [0.7]) == 0.7


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="mean loss"):
        recertified_threshold([0.9], [0], 0.0, 0.05, [0.8])
    with pytest.raises(ConfigError, match="delta"):
        recertified_threshold([0.9], [0], 0.1, 1.0, [0.8])
    with pytest.raises(SampleError, match="0 or 1"):
        recertified_threshold([0.9], [0.5], 0.1, 0.05, [0.8])
    with pytest.raises(SampleError, match="outside"):
        recertified_threshold([0.9], [math.nan], 0.1, 0.05, [0.8])
    with pytest.raises(NotEnoughSamples, match="one loss"):
        recertified_threshold([0.9, 0.8], [0], 0.1, 0.05, [0.8])
    with pytest.raises(NotEnoughSamples):
        recertified_threshold([], [], 0.1, 0.05, [0.8])
