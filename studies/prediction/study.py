"""Predicted against measured latency: twelve plans under three link settings, term by term."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from offramp.records.records import Records, load_records
from studies.prediction.compare import Compared, Forecast, compare
from studies.prediction.measurement import Measurement, load_measurement
from studies.prediction.terms import TERMS
from studies.row import StudyRow

__all__ = ["EXAMPLE", "MEASURED", "rows_of", "study"]

EXAMPLE = Path(__file__).parents[2] / "examples" / "cifar10"
MEASURED = Path(__file__).with_name("measured.json")
#: most that the mean and the 95 % quantile may be off
MEAN_ERROR, P95_ERROR = 0.10, 0.20
#: a term is off from this share of the measured mean latency on
TERM_ERROR = 0.05


def study() -> Iterator[StudyRow]:
    """Every row of the study, predictions made again from the stored measurement's profiles.

    Raises
    ------
    ConfigError : there are no stored measurements
    RecordMismatch : the records belong to another cascade
    """
    yield from rows_of(load_measurement(MEASURED), load_records(EXAMPLE / "records" / "fp32.parquet"))


def rows_of(measured: Measurement, records: Records) -> Iterator[StudyRow]:
    """The rows for one set of measurements."""
    where = _where(measured)
    found = [compare(measured, run, records) for run in measured.runs]
    alone = [one for one in found if one.run.rate_hz is None]
    ahead, same = [one.ahead for one in alone], [one.same_rows for one in alone]
    how = f"{where}; one after the other; predicted by planning from the calibrate rows"
    yield from _summary("", alone, ahead, f"{how}; {len(alone)} runs", claims=True)
    just = f"{where}; one after the other; predicted by planning for just the rows sent: without the luck of the rows"
    yield from _summary("same rows: ", alone, same, f"{just}; {len(alone)} runs", claims=False)
    queued = [one for one in found if one.run.rate_hz is not None]
    if queued:
        ahead, same = [one.ahead for one in queued], [one.same_rows for one in queued]
        how = f"{where}; at random times; simulated with the rows sent and the times they came; {len(queued)} runs"
        yield from _summary("arrivals: ", queued, same, how, claims=True)
        how = f"{where}; at random times; simulated ahead, with the calibrate rows at other times; {len(queued)} runs"
        yield from _summary("arrivals, ahead: ", queued, ahead, how, claims=False)
    degraded = sum(one.run.degraded for one in found)
    yield StudyRow("rows answered degraded", None, degraded, "rows", f"{where}; holds: none", degraded == 0)
    for one in found:
        yield from _run(one, where)


def _where(measured: Measurement) -> str:
    tiers = ", ".join(f"{slow:g}" for slow in measured.slow_down)
    load = " to ".join(f"{load:.1f}" for load in measured.load)
    return (
        f"measured on {len(measured.rows)} test rows of {measured.data}, real processes on {measured.machine.cores} "
        f"cores (load average {load}), tiers {tiers} times slower than that"
    )


def _summary(
    prefix: str, found: list[Compared], forecasts: list[Forecast], how: str, claims: bool
) -> Iterator[StudyRow]:
    pairs = list(zip(found, forecasts, strict=True))
    mean = np.abs([one.mean_error(forecast) for one, forecast in pairs])
    p95 = np.abs([one.p95_error(forecast) for one, forecast in pairs])
    good = float(((mean <= MEAN_ERROR) & (p95 <= P95_ERROR)).sum())
    yield StudyRow(f"{prefix}runs with both errors small enough", None, good, f"of {len(found)}", how)
    for name, errors, most in (("mean", mean, MEAN_ERROR), ("p95", p95, P95_ERROR)):
        worst = float(errors.max())
        claim = f"{how}; holds: at most {100 * most:g} %" if claims else how
        yield StudyRow(
            f"{prefix}error of the {name}, worst run", None, 100 * worst, "%", claim, worst <= most if claims else None
        )
        average = float(errors.mean())
        held = average <= most if claims else None
        yield StudyRow(f"{prefix}error of the {name}, average", None, 100 * average, "%", claim, held)


def _run(one: Compared, where: str) -> Iterator[StudyRow]:
    """The latency, its errors, and the terms that are off."""
    run = one.run
    forecast, rate = (one.ahead, "") if run.rate_hz is None else (one.same_rows, ", arrivals")
    name, mean_s = f"{run.links}: {run.plan}{rate}", float(run.latency_s.mean())
    mean, p95 = one.mean_error(forecast), one.p95_error(forecast)
    limit = f"{where}; holds: at most {100 * MEAN_ERROR:g} % off"
    yield StudyRow(f"{name}: mean", None, 1e3 * mean_s, "ms", where)
    yield StudyRow(f"{name}: mean, predicted / measured", None, 1 + mean, "x", limit, abs(mean) <= MEAN_ERROR)
    limit = f"{where}; holds: at most {100 * P95_ERROR:g} % off"
    yield StudyRow(f"{name}: p95, predicted / measured", None, 1 + p95, "x", limit, abs(p95) <= P95_ERROR)
    for term in TERMS:
        off_s = forecast.terms_s[term] - run.terms_s[term]
        if abs(off_s) > TERM_ERROR * mean_s:
            limit = f"predicted less measured, where that is more than {100 * TERM_ERROR:g} % of the mean latency"
            yield StudyRow(f"{name}: off in {term}", None, 1e3 * off_s, "ms", f"{where}; {limit}")
