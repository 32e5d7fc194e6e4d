"""Temperature scaling: one number per exit that makes its confidence honest."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.calibrator import Calibrator, Floats, Ints, check_labelled
from offramp.confidence.scores import softmax

__all__ = ["Temperature", "fit_temperature"]

_LOWEST, _HIGHEST = 1e-2, 1e2  # of the inverse temperature


class Temperature(Calibrator):
    """Divide the logits by one fitted number.

    Source: Guo et al. 2017, "On Calibration of Modern Neural Networks".

    Examples
    --------
    >>> Temperature().fit(np.array([[2., 0.], [2., 0.], [0., 2.]]), np.array([0, 1, 1]))
    Temperature(2.885)
    """

    kind = "temperature"

    def __init__(self, temperature: float = 1.0) -> None:
        if not temperature > 0:
            raise ValueError(f"a temperature must be positive, not {temperature}")
        self.temperature = float(temperature)

    def fit(self, logits: Floats, labels: Ints) -> Temperature:
        self.temperature = fit_temperature(logits, labels)
        return self

    def transform(self, logits: Floats) -> NDArray[np.float64]:
        return np.asarray(logits, np.float64) / self.temperature

    def to_dict(self) -> dict[str, Any]:
        return {"temperature": self.temperature}

    @classmethod
    def from_dict(cls, body: Mapping[str, Any]) -> Temperature:
        return cls(body["temperature"])

    def __repr__(self) -> str:
        return f"Temperature({self.temperature:.4g})"


def fit_temperature(logits: Floats, labels: Ints) -> float:
    """Temperature that minimises the negative log-likelihood.

    Parameters
    ----------
    logits : (n, K) array, natural-log units
    labels : (n,) int array, values in [0, K)

    Returns
    -------
    float : in [0.01, 100]; a bound is returned with a warning where the likelihood has no maximum
        (every answer right, say)

    Raises
    ------
    NotEnoughSamples : n < 2
    SampleError : NaN or infinite logits, or labels out of range

    Source: Guo et al. 2017. With ``s = 1/T`` the likelihood ``mean(logsumexp(s z) - s z_y)`` is
    convex in s, so safeguarded Newton steps find its minimum.

    Examples
    --------
    >>> round(fit_temperature(np.array([[2., 0.], [2., 0.], [0., 2.]]), np.array([0, 1, 1])), 2)
    2.89
    """
    z, y = check_labelled(logits, labels, "a temperature")
    target = z[np.arange(len(z)), y].mean()

    def slope(s: float) -> tuple[float, float]:
        p = softmax(s * z)
        mean = (p * z).sum(-1)
        return float(mean.mean() - target), float(((p * z * z).sum(-1) - mean**2).mean())

    low, high, s = _LOWEST, _HIGHEST, 1.0
    # with every answer right the slope at the bound is below zero, or rounds to it
    if slope(high)[0] <= 0 or slope(low)[0] > 0:
        s = high if slope(high)[0] <= 0 else low
        warnings.warn(f"the likelihood has no maximum; temperature set to {1 / s:g}", stacklevel=2)
        return 1.0 / s
    for _ in range(100):
        first, second = slope(s)
        low, high = (s, high) if first < 0 else (low, s)
        newton = s - first / second if second > 0 else low
        step_to = newton if low < newton < high else (low + high) / 2
        if abs(step_to - s) < 1e-10:
            break
        s = step_to
    return 1.0 / s
