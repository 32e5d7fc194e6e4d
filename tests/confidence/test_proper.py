"""Brier score and likelihood against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, log_loss

from offramp.confidence.proper import brier_score, negative_log_likelihood
from offramp.confidence.scores import softmax
from offramp.errors import SampleError


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("seed", range(3))
def test_equal_scikit_learn(classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits, labels = rng.normal(0, 3, (200, classes)), rng.integers(0, classes, 200)
    p = softmax(logits)
    assert negative_log_likelihood(logits, labels) == pytest.approx(log_loss(labels, p, labels=range(classes)))
    onehot = np.eye(classes)[labels]
    parts = sum(brier_score_loss(onehot[:, k], p[:, k], pos_label=1) for k in range(classes))
    assert brier_score(logits, labels) == pytest.approx(parts)


def test_honest_probabilities_are_best_on_average() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (50_000, 3))
    labels = (rng.random((50_000, 1)) > softmax(logits).cumsum(1)).sum(1).clip(max=2)
    for rule in (brier_score, negative_log_likelihood):
        assert rule(logits, labels) < min(rule(logits * 1.3, labels), rule(logits / 1.3, labels))


def test_nan_is_refused() -> None:
    with pytest.raises(SampleError, match="row 1 hold NaN"):
        brier_score(np.array([[0.0, 1.0], [np.nan, 0.0]]), np.array([0, 1]))
