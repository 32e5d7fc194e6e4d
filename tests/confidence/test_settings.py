"""The histogram agrees with trying every setting one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.confidence.served import served_confidence
from offramp.confidence.settings import MIN_GAP, GateSettings, evaluate, exits_taken, threshold_grid
from offramp.errors import ConfigError, NotEnoughSamples
from tests.support.instances import make_records


def _case(seed: int, rows: int, early: int, levels: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    confidence = rng.integers(0, levels, (early, rows)).astype(np.float32) / np.float32(levels)
    return confidence, rng.random((early + 1, rows)) < 0.7


@given(
    seed=st.integers(0, 2**20),
    rows=st.integers(1, 40),
    early=st.integers(0, 3),
    levels=st.integers(1, 12),
    most=st.integers(4, 400),
)
def test_counts_equal_a_loop_over_every_setting(seed: int, rows: int, early: int, levels: int, most: int) -> None:
    confidence, correct = _case(seed, rows, early, levels)
    settings = GateSettings.build(confidence, correct, max_settings=most)
    assert len(settings) <= max(most, 2**early)
    for index, thresholds in enumerate(settings.thresholds):
        leaving, right = np.zeros(early + 1, int), 0
        for row in range(rows):
            taken = next((e for e in range(early) if confidence[e, row] >= np.float32(thresholds[e])), early)
            leaving[taken] += 1
            right += int(correct[taken, row])
        assert settings.leaving[index].tolist() == leaving.tolist()
        assert settings.right[index] == right


@given(seed=st.integers(0, 2**20), rows=st.integers(1, 60), early=st.integers(1, 3), levels=st.integers(1, 50))
def test_evaluate_agrees_with_the_table(seed: int, rows: int, early: int, levels: int) -> None:
    confidence, correct = _case(seed, rows, early, levels)
    settings = GateSettings.build(confidence, correct, max_settings=200)
    share, accuracy = evaluate(confidence, correct, settings.thresholds)
    np.testing.assert_array_equal(share, settings.share)
    np.testing.assert_allclose(accuracy, settings.accuracy, rtol=0, atol=1e-12)


@given(seed=st.integers(0, 2**20), rows=st.integers(1, 40), early=st.integers(0, 3), levels=st.integers(1, 12))
def test_every_dropped_setting_is_beaten_by_a_useful_one(seed: int, rows: int, early: int, levels: int) -> None:
    settings = GateSettings.build(*_case(seed, rows, early, levels), max_settings=150)
    left = np.cumsum(settings.leaving, axis=1)
    kept = settings.useful
    for index in np.setdiff1d(np.arange(len(settings)), kept):
        beaten = (left[kept] >= left[index]).all(1) & (settings.right[kept] >= settings.right[index])
        assert beaten.any()


def test_the_last_setting_is_the_last_exit_and_the_first_the_first() -> None:
    confidence, correct = _case(0, 30, 2, 30)
    settings = GateSettings.build(confidence, correct)
    assert settings.accuracy_last_exit == pytest.approx(correct[-1].mean())
    assert settings.share[0].tolist() == [1.0, 0.0, 0.0]
    assert settings.thresholds[-1].tolist() == [np.inf, np.inf]


@given(
    values=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=60),
    points=st.integers(2, 30),
)
def test_grid_is_sorted_bounded_and_off_the_values(values: list[float], points: int) -> None:
    data = np.array(values, np.float32)
    grid = threshold_grid(data, points)
    assert len(grid) <= points
    assert (np.diff(grid) > 0).all()
    assert grid[0] == 0
    assert np.isinf(grid[-1])
    for cut in grid[1:-1].astype(np.float64):
        assert np.abs(data - cut).min() >= MIN_GAP / 2 - 6e-8  # room on both sides, up to float32


def test_fine_grid_tells_all_distinct_values_apart() -> None:
    assert len(threshold_grid(np.linspace(0.1, 0.9, 9, dtype=np.float32), 100)) == 10


def test_values_a_runtime_may_swap_are_not_told_apart() -> None:
    close = np.array([0.5, np.nextafter(np.float32(0.5), np.float32(1))], np.float32)
    assert threshold_grid(close, 10).tolist() == [0.0, np.inf]


def test_a_threshold_means_the_same_in_float32_and_float64() -> None:
    records = make_records(np.random.default_rng(3), 200, 2)
    confidence = served_confidence(records.logits[:1], 1.3)
    for threshold in threshold_grid(confidence[0], 100)[:-1]:
        as_json = float(threshold)
        np.testing.assert_array_equal(confidence >= as_json, confidence.astype(np.float64) >= as_json)


def test_exits_taken_is_the_first_exit_that_is_sure() -> None:
    confidence = np.array([[0.9, 0.1, 0.1], [0.9, 0.9, 0.1]], np.float32)
    assert exits_taken(confidence, np.array([0.5, 0.5])).tolist() == [0, 1, 2]


def test_no_rows_and_too_many_exits_are_refused() -> None:
    with pytest.raises(NotEnoughSamples, match="at least one row"):
        GateSettings.build(np.zeros((1, 0), np.float32), np.zeros((2, 0), bool))
    with pytest.raises(ConfigError, match="24 early exits"):
        GateSettings.build(np.zeros((24, 1), np.float32), np.zeros((25, 1), bool))
