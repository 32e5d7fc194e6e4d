"""``offramp calibrate``: one temperature per exit."""

from __future__ import annotations

from pathlib import Path

import typer

from offramp.cli.common import console, print_json, records_file

__all__ = ["calibrate"]


def calibrate(
    cascade: Path = typer.Argument(..., help="The folder NAME.cascade."),
    records: Path | None = typer.Option(None, help="Records file; default: CASCADE/records/fp32.parquet."),
    method: str = typer.Option(
        "temperature",
        help="temperature (every exit on all rows), survivors (on the rows that reach it) or global (one for all).",
    ),
    target: float = typer.Option(0.8, help="Confidence that rows leave by, for survivors and global."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Fit one temperature per exit.

    Fitted on the tune rows; what is printed before and after is that of the test rows. Only methods that yield
    temperatures are offered: a running segment divides its logits by one number."""
    from typing import cast

    from offramp.cascade.store import open_cascade
    from offramp.confidence.exit_temperatures import TemperatureMethod
    from offramp.records.calibrate import calibrate_cascade
    from offramp.records.records import load_records
    from offramp.reporting.calibration import calibration_of
    from offramp.reporting.terminal import calibration_table

    evidence = load_records(records_file(cascade, records))
    calibrated = calibrate_cascade(open_cascade(cascade), evidence, cast("TemperatureMethod", method), target)
    test = evidence.on("test")
    rows = calibration_of(test, calibrated.manifest.calibration.temperatures)
    if not json:
        console.print(calibration_table(rows, f"{len(test)} test rows"))
        return
    scores = [f"{score}_{when}" for score in ("ece", "ece_equal_mass", "nll", "brier") for when in ("before", "after")]
    keys = ("name", "temperature", "accuracy", *scores)
    print_json([{key: getattr(row, key) for key in keys} for row in rows])
