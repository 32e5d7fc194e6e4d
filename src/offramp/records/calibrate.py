"""Temperatures for a cascade, from its records."""

from __future__ import annotations

from offramp.cascade.manifest import Calibration
from offramp.cascade.store import Cascade
from offramp.confidence.temperature import fit_temperature
from offramp.records.records import Records

__all__ = ["calibrate_cascade"]


def calibrate_cascade(cascade: Cascade, records: Records) -> Cascade:
    """Fit one temperature per exit on the tune rows and store them in ``cascade.json``.

    Raises
    ------
    RecordMismatch : the records belong to another cascade
    NotEnoughSamples : no tune rows
    """
    records.require(cascade.manifest.fingerprint)
    tune = records.on("tune")
    calibration = Calibration(
        method="temperature",
        temperatures=tuple(fit_temperature(logits, tune.labels) for logits in tune.logits),
        fitted_on=f"{len(tune)} tune rows of {records.provenance.data}",
    )
    return cascade.with_calibration(calibration)
