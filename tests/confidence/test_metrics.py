"""ECE and reliability bins against a loop."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.confidence.metrics import expected_calibration_error, reliability


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
