"""Isotonic calibration against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.isotonic import IsotonicRegression

from offramp.confidence.isotonic import Isotonic
from offramp.confidence.scores import softmax


@settings(deadline=None)
@given(seed=st.integers(0, 2**20), rows=st.integers(2, 150), ties=st.booleans())
def test_equals_scikit_learn(seed: int, rows: int, ties: bool) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, rows)
    logits = rng.normal(0, 1, (rows, 3)) + np.eye(3)[labels]
    logits = logits.round(0) if ties else logits
    highest, right = softmax(logits).max(1), logits.argmax(1) == labels
    oracle = IsotonicRegression(out_of_bounds="clip").fit(highest, right)
    new = rng.normal(0, 2, (50, 3))
    ours = Isotonic().fit(logits, labels)
    np.testing.assert_allclose(ours.probability(logits), oracle.predict(highest), atol=1e-6)
    np.testing.assert_allclose(ours.probability(new), oracle.predict(softmax(new).max(1)), atol=1e-5)


def test_others_share_what_is_left_in_proportion() -> None:
    logits = np.log(np.array([[0.6, 0.3, 0.1]]))
    p = softmax(Isotonic([0.0, 1.0], [0.5, 0.5]).transform(logits))
    np.testing.assert_allclose(p, [[0.5, 0.375, 0.125]])


def test_a_doubtful_answer_can_lose_to_another_class() -> None:
    logits = np.log(np.array([[0.6, 0.4]]))
    assert softmax(Isotonic([0.0, 1.0], [0.2, 0.2]).transform(logits)).argmax() == 1


def test_all_right_stays_finite() -> None:
    logits = np.array([[2.0, 0.0], [0.0, 3.0]])
    moved = Isotonic().fit(logits, np.array([0, 1])).transform(logits)
    assert np.isfinite(moved).all()
    assert softmax(moved).max(1) == pytest.approx([1, 1])


@pytest.mark.parametrize("knots", [([0.0], None), ([1.0, 0.0], [0.0, 1.0]), ([0.0], [0.0, 1.0]), ([], [])])
def test_knots_must_rise(knots: tuple[list[float], list[float] | None]) -> None:
    with pytest.raises(ValueError, match="knots"):
        Isotonic(*knots)
