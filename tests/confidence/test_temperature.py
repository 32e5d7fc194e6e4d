"""The fitted temperature against scikit-learn and scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from offramp.confidence.temperature import Temperature, fit_temperature


class Logits(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """A fitted classifier whose input are its logits."""

    def fit(self, x: np.ndarray[Any, Any], y: np.ndarray[Any, Any]) -> Logits:
        self.classes_ = np.unique(y)
        self.n_features_in_ = x.shape[1]
        return self

    def decision_function(self, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return x

    def predict(self, x: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        return np.asarray(self.classes_[x.argmax(1)])


def made_up(seed: int, rows: int = 300, classes: int = 4, sharpness: float = 3.0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    labels[:classes] = np.arange(classes)
    return sharpness * (rng.normal(0, 1, (rows, classes)) + 1.2 * np.eye(classes)[labels]), labels


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("sharpness", [0.5, 3.0, 10.0])
def test_equals_scikit_learn(seed: int, sharpness: float) -> None:
    logits, labels = made_up(seed, sharpness=sharpness)
    oracle = CalibratedClassifierCV(FrozenEstimator(Logits().fit(logits, labels)), method="temperature")
    expected = oracle.fit(logits, labels).predict_proba(logits)
    ours = Temperature().fit(logits, labels).transform(logits)
    ours = np.exp(ours - ours.max(1, keepdims=True))
    np.testing.assert_allclose(ours / ours.sum(1, keepdims=True), expected, atol=2e-4)


@settings(deadline=None)
@given(seed=st.integers(0, 2**20), rows=st.integers(20, 200), sharpness=st.floats(0.3, 20))
def test_equals_scipy(seed: int, rows: int, sharpness: float) -> None:
    logits, labels = made_up(seed, rows, sharpness=sharpness)

    def loss(log_s: float) -> float:
        z = np.exp(log_s) * logits
        top = z.max(1)
        return float((np.log(np.exp(z - top[:, None]).sum(1)) + top - z[np.arange(rows), labels]).mean())

    best = minimize_scalar(loss, bounds=(np.log(1e-2), np.log(1e2)), method="bounded", options={"xatol": 1e-10})
    assert loss(-np.log(fit_temperature(logits, labels))) <= best.fun + 1e-9


@settings(deadline=None)
@given(seed=st.integers(0, 2**20), factor=st.floats(0.2, 5))
def test_scaling_the_logits_scales_the_temperature(seed: int, factor: float) -> None:
    logits, labels = made_up(seed)
    assert fit_temperature(factor * logits, labels) == pytest.approx(factor * fit_temperature(logits, labels), rel=1e-6)


def test_no_maximum_is_said() -> None:
    logits = np.array([[5.0, 0.0], [0.0, 5.0]])
    with pytest.warns(UserWarning, match="no maximum"):
        assert fit_temperature(logits, np.array([0, 1])) == pytest.approx(0.01)
    with pytest.warns(UserWarning, match="no maximum"):
        assert fit_temperature(logits, np.array([1, 0])) == pytest.approx(100)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan")])
def test_a_temperature_is_positive(wrong: float) -> None:
    with pytest.raises(ValueError, match="must be positive"):
        Temperature(wrong)
