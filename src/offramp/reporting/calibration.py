"""How honest every exit's confidence is, before and after its temperature."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.metrics import expected_calibration_error
from offramp.confidence.scores import softmax
from offramp.records.records import Records

__all__ = ["ExitCalibration", "calibration_of"]


@dataclass(frozen=True)
class ExitCalibration:
    """One exit on n rows: confidence (n,) at temperature 1 and at the fitted one, and who was right (n,)."""

    name: str
    temperature: float
    confidence_before: NDArray[np.float64]
    confidence_after: NDArray[np.float64]
    correct: NDArray[np.bool_]

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


def calibration_of(records: Records, temperatures: tuple[float, ...]) -> list[ExitCalibration]:
    """Every exit of ``records`` with its temperature (E,)."""
    return [
        ExitCalibration(
            name=name,
            temperature=temperature,
            confidence_before=softmax(records.logits[index]).max(-1),
            confidence_after=softmax(records.logits[index], temperature).max(-1),
            correct=records.correct[index],
        )
        for index, (name, temperature) in enumerate(zip(records.exit_names, temperatures, strict=True))
    ]
