"""``offramp calibrate``: one temperature per exit."""

from __future__ import annotations

from pathlib import Path

import typer

from offramp.cli.common import console, print_json, records_file

__all__ = ["calibrate"]


def calibrate(
    cascade: Path = typer.Argument(..., help="The folder NAME.cascade."),
    records: Path | None = typer.Option(None, help="Records file; default: CASCADE/records/fp32.parquet."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Fit one temperature per exit.

    Fitted on the tune rows; ECE before and after is that of the test rows."""
    from offramp.cascade.store import open_cascade
    from offramp.records.calibrate import calibrate_cascade
    from offramp.records.records import load_records
    from offramp.reporting.calibration import calibration_of
    from offramp.reporting.terminal import calibration_table

    evidence = load_records(records_file(cascade, records))
    calibrated = calibrate_cascade(open_cascade(cascade), evidence)
    test = evidence.on("test")
    rows = calibration_of(test, calibrated.manifest.calibration.temperatures)
    if not json:
        console.print(calibration_table(rows, f"{len(test)} test rows"))
        return
    keys = ("name", "temperature", "accuracy", "ece_before", "ece_after")
    print_json([{key: getattr(row, key) for key in keys} for row in rows])
