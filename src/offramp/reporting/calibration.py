"""How honest every exit's confidence is, before and after its temperature."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.metrics import expected_calibration_error
from offramp.confidence.proper import brier_score, negative_log_likelihood
from offramp.confidence.scores import softmax
from offramp.records.records import Records

__all__ = ["ExitCalibration", "calibration_of"]


@dataclass(frozen=True)
class ExitCalibration:
    """One exit on n rows: its logits (n, K), the labels (n,), and the temperature fitted on other rows."""

    name: str
    temperature: float
    logits: NDArray[np.float32]
    labels: NDArray[np.int64]

    @cached_property
    def confidence_before(self) -> NDArray[np.float64]:
        """(n,) highest probability at temperature 1."""
        return np.asarray(softmax(self.logits).max(-1))

    @cached_property
    def confidence_after(self) -> NDArray[np.float64]:
        """(n,) highest probability at the fitted temperature."""
        return np.asarray(softmax(self.logits, self.temperature).max(-1))

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """(n,) whether the exit is right."""
        return np.asarray(self.logits.argmax(-1) == self.labels)

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.correct.mean())

    @property
    def ece_before(self) -> float:
        """Expected calibration error (15 bins) at temperature 1."""
        return expected_calibration_error(self.confidence_before, self.correct)

    @property
    def ece_after(self) -> float:
        """Expected calibration error (15 bins) at the fitted temperature."""
        return expected_calibration_error(self.confidence_after, self.correct)

    @property
    def ece_equal_mass_before(self) -> float:
        """Expected calibration error (15 bins of as many rows) at temperature 1."""
        return expected_calibration_error(self.confidence_before, self.correct, equal_mass=True)

    @property
    def ece_equal_mass_after(self) -> float:
        """Expected calibration error (15 bins of as many rows) at the fitted temperature."""
        return expected_calibration_error(self.confidence_after, self.correct, equal_mass=True)

    @property
    def nll_before(self) -> float:
        """Negative log-likelihood at temperature 1, nats per row."""
        return negative_log_likelihood(self.logits, self.labels)

    @property
    def nll_after(self) -> float:
        """Negative log-likelihood at the fitted temperature, nats per row."""
        return negative_log_likelihood(self.logits / self.temperature, self.labels)

    @property
    def brier_before(self) -> float:
        """Brier score at temperature 1."""
        return brier_score(self.logits, self.labels)

    @property
    def brier_after(self) -> float:
        """Brier score at the fitted temperature."""
        return brier_score(self.logits / self.temperature, self.labels)


def calibration_of(records: Records, temperatures: tuple[float, ...]) -> list[ExitCalibration]:
    """Every exit of ``records`` with its temperature (E,)."""
    return [
        ExitCalibration(name, temperature, logits, records.labels)
        for name, temperature, logits in zip(records.exit_names, temperatures, records.logits, strict=True)
    ]
