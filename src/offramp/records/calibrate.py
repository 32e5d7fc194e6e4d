"""Temperatures for a cascade, from its records."""

from __future__ import annotations

from offramp.cascade.manifest import Calibration
from offramp.cascade.store import Cascade
from offramp.confidence.exit_temperatures import TemperatureMethod, check_target, fit_temperatures
from offramp.records.records import Records

__all__ = ["calibrate_cascade"]


def calibrate_cascade(
    cascade: Cascade, records: Records, method: TemperatureMethod = "temperature", target: float = 0.8
) -> Cascade:
    """Fit one temperature per exit on the tune rows and store them in ``cascade.json``.

    A running segment divides its logits by one number, so only what yields temperatures can be stored; the other
    calibrators of `offramp.confidence` serve evaluation and gates of their own.

    Parameters
    ----------
    cascade, records : of one build
    method : ``temperature`` fits every exit on all rows, ``survivors`` on the rows that reach it at ``target``,
        ``global`` one for all exits on the rows each decides at ``target``
    target : the confidence that rows leave by

    Raises
    ------
    RecordMismatch : the records belong to another cascade
    NotEnoughSamples : no tune rows
    ConfigError : an unknown method, or a target outside [0, 1]
    """
    records.require(cascade.manifest.fingerprint)
    check_target(target)
    tune = records.on("tune")
    at = "" if method == "temperature" else f", target {target:g}"
    calibration = Calibration(
        method=method,
        temperatures=tuple(fit_temperatures(tune.logits, tune.labels, method, target).tolist()),
        fitted_on=f"{len(tune)} tune rows of {records.provenance.data}{at}",
    )
    return cascade.with_calibration(calibration)
