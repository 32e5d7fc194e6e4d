"""ECE and reliability bins against a loop."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.calibration import calibration_curve

from offramp.confidence.metrics import ReliabilityBin, expected_calibration_error, reliability
from offramp.errors import NotEnoughSamples


@given(seed=st.integers(0, 2**20), rows=st.integers(1, 200), bins=st.integers(1, 20))
def test_bins_equal_a_loop(seed: int, rows: int, bins: int) -> None:
    rng = np.random.default_rng(seed)
    confidence, correct = rng.random(rows), rng.random(rows) < 0.6
    found = {(b.lower, b.upper): b for b in reliability(confidence, correct, bins)}
    error, edges = 0.0, np.linspace(0, 1, bins + 1).tolist()
    for lower, upper in itertools.pairwise(edges):
        inside = [i for i in range(rows) if lower < confidence[i] <= upper]
        if not inside:
            assert (lower, upper) not in found
            continue
        entry = found[lower, upper]
        mean, accuracy = float(np.mean(confidence[inside])), float(np.mean(correct[inside]))
        assert entry.rows == len(inside)
        assert entry.mean_confidence == pytest.approx(mean)
        assert entry.accuracy == pytest.approx(accuracy)
        error += len(inside) / rows * abs(mean - accuracy)
    assert expected_calibration_error(confidence, correct, bins) == pytest.approx(error)


def test_both_ends_belong_to_a_bin() -> None:
    bins = reliability(np.array([0.0, 1.0]), np.array([True, True]), 10)
    assert [b.rows for b in bins] == [1, 1]


def test_an_honest_confidence_has_a_small_error() -> None:
    rng = np.random.default_rng(0)
    confidence = rng.random(50_000)
    honest = rng.random(50_000) < confidence
    assert expected_calibration_error(confidence, honest) < 0.01
    assert expected_calibration_error(confidence, ~honest) > 0.4


@given(seed=st.integers(0, 2**20), rows=st.integers(20, 400), bins=st.integers(1, 15))
def test_equal_mass_bins_are_those_of_scikit_learn(seed: int, rows: int, bins: int) -> None:
    rng = np.random.default_rng(seed)
    confidence = rng.permutation(np.linspace(0.01, 0.99, rows))
    correct = rng.random(rows) < confidence
    found = reliability(confidence, correct, bins, equal_mass=True)
    assert sum(b.rows for b in found) == rows
    assert max(b.rows for b in found) - min(b.rows for b in found) <= 1
    if rows % bins == 0:
        chunks = np.argsort(confidence).reshape(bins, -1)
        expected: Any = [correct[chunk].mean() for chunk in chunks]
        assert [b.accuracy for b in found] == pytest.approx(expected)


def test_rows_of_one_confidence_share_a_bin() -> None:
    confidence = np.array([0.5] * 90 + [0.9] * 10)
    found = reliability(confidence, np.arange(100) % 2 == 0, 15, equal_mass=True)
    assert [b.rows for b in found] == [90, 10]


def test_equal_width_bins_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(3)
    confidence = rng.random(2_000)
    correct = rng.random(2_000) < confidence**2
    accuracy, mean = calibration_curve(correct, confidence, n_bins=10)
    found = reliability(confidence, correct, 10)
    assert [b.accuracy for b in found] == pytest.approx(accuracy)
    assert [b.mean_confidence for b in found] == pytest.approx(mean)


@pytest.mark.parametrize("rows", [1, 7, 400])
@pytest.mark.parametrize("level", [0.8, 0.95])
def test_the_band_is_the_exact_interval(rows: int, level: float) -> None:
    for right in {0, rows // 3, rows}:
        exact = binomtest(right, rows).proportion_ci(level, method="exact")
        assert ReliabilityBin(0, 1, rows, 0.5, right / rows).band(level) == pytest.approx((exact.low, exact.high))


def test_no_rows_are_refused() -> None:
    with pytest.raises(NotEnoughSamples, match="at least one row"):
        reliability(np.empty(0), np.empty(0, bool))
