"""Temperatures for a cascade, from its records."""

from __future__ import annotations

from dataclasses import dataclass

from offramp.cascade.manifest import Calibration
from offramp.cascade.store import Cascade
from offramp.confidence.metrics import expected_calibration_error
from offramp.confidence.scores import softmax
from offramp.confidence.temperature import fit_temperature
from offramp.records.records import Records

__all__ = ["ExitCalibration", "calibrate_cascade"]


@dataclass(frozen=True, slots=True)
class ExitCalibration:
    """Temperature of one exit (fitted on tune rows), its accuracy and ECE on test rows."""

    exit: str
    temperature: float
    accuracy: float
    ece_before: float
    ece_after: float


def calibrate_cascade(cascade: Cascade, records: Records) -> tuple[Cascade, list[ExitCalibration]]:
    """Fit one temperature per exit on the tune rows and store them in ``cascade.json``.

    Returns
    -------
    the cascade with its new calibration, and what it brought on the test rows (15 equal-width bins)

    Raises
    ------
    RecordMismatch : the records belong to another cascade
    NotEnoughSamples : no tune or no test rows
    """
    records.require(cascade.manifest.fingerprint)
    tune, test = records.on("tune"), records.on("test")
    rows = []
    for index, name in enumerate(records.exit_names):
        temperature = fit_temperature(tune.logits[index], tune.labels)
        logits, correct = test.logits[index], test.correct[index]
        before, after = (expected_calibration_error(softmax(logits, t).max(-1), correct) for t in (1.0, temperature))
        rows.append(ExitCalibration(name, temperature, float(correct.mean()), before, after))
    calibration = Calibration(
        method="temperature",
        temperatures=tuple(row.temperature for row in rows),
        fitted_on=f"{len(tune)} tune rows of {records.provenance.data}",
    )
    return cascade.with_calibration(calibration), rows
