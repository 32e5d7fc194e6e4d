"""Vector scaling against a general solver."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from offramp.confidence.proper import negative_log_likelihood
from offramp.confidence.temperature import Temperature
from offramp.confidence.vector_scaling import VectorScaling


def test_two_classes_equal_logistic_regression() -> None:
    """With K = 2 the difference of the logits is linear in both of them: logistic regression is the oracle."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 400)
    logits = rng.normal(0, 1, (400, 2)) + np.array([2.0, 0.5]) * np.eye(2)[labels]
    oracle = LogisticRegression(C=1e9, tol=1e-10).fit(logits, labels)
    ours = VectorScaling(ridge=0).fit(logits, labels).transform(logits)
    np.testing.assert_allclose(ours[:, 1] - ours[:, 0], oracle.decision_function(logits), atol=2e-2)


@pytest.mark.parametrize("seed", range(3))
def test_undoes_a_vector(seed: int) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, 4000)
    honest = rng.normal(0, 1, (4000, 4)) + np.eye(4)[labels]  # Gaussian noise of unit variance: these are the logits
    bent = honest * [1, 2, 3, 4] + [0, 1, 0, -1]
    repaired = VectorScaling().fit(bent, labels).transform(bent)
    assert negative_log_likelihood(repaired, labels) < negative_log_likelihood(honest, labels) + 1e-3
    alone = Temperature().fit(bent, labels).transform(bent)
    assert negative_log_likelihood(repaired, labels) < negative_log_likelihood(alone, labels) - 0.05


def test_a_class_without_rows_stays_finite() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 100)
    logits = rng.normal(0, 1, (100, 3)) + np.eye(3)[labels]
    assert np.isfinite(VectorScaling().fit(logits, labels).transform(logits)).all()


def test_refusals() -> None:
    with pytest.raises(ValueError, match="one factor and one offset"):
        VectorScaling([1.0], None)
    with pytest.raises(ValueError, match="one factor and one offset"):
        VectorScaling([1.0], [0.0, 1.0])
    with pytest.raises(ValueError, match="ridge"):
        VectorScaling(ridge=-1)
