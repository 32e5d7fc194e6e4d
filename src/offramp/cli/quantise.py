"""``offramp quantise``: int8 variants of the first segments."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from offramp.cli.common import (
    command_line,
    console,
    data_name,
    git_commit,
    print_json,
    progress_bar,
    say,
    status_console,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rich.table import Table

    from offramp.cascade.store import Cascade
    from offramp.data.dataset import Dataset
    from offramp.records.records import Records

__all__ = ["quantise"]


def quantise(
    cascade: Path = typer.Argument(..., help="The folder NAME.cascade."),
    segments: str = typer.Option(..., help="Which segments: the first ones, as in 0,1."),
    data: str | None = typer.Option(None, help="Data set name or .npz file; default: the one it was built on."),
    rows: int = typer.Option(512, min=1, help="Tune rows to calibrate the ranges on."),
    batch: int = typer.Option(64, min=1, help="Rows per run."),
    json: bool = typer.Option(False, "--json", help="Print accuracy and latency as JSON."),
) -> None:
    """Make the first segments int8, and compare with fp32."""
    from offramp.cascade.precision import Precision
    from offramp.cascade.quantise import quantise as quantise_segments
    from offramp.cascade.store import open_cascade
    from offramp.data.registry import load_dataset
    from offramp.profiles.measure import segment_costs

    chosen = _indices(segments)
    opened = open_cascade(cascade)
    dataset = load_dataset(data_name(opened.manifest, data))
    with progress_bar("quantising") as update:
        opened = quantise_segments(opened, _tune_rows(opened, dataset, rows), chosen, batch=batch, progress=update)
    precision = Precision(len(chosen))
    fp32 = _record(opened, dataset, "fp32", batch)
    int8 = _record(opened, dataset, str(precision), batch)
    with status_console.status("  measuring in a fresh process"):
        costs = {(c.segment, c.precision): c.median_s for c in segment_costs(opened.path)}
    if json:
        print_json(_as_json(opened, fp32, int8, costs, precision.int8))
        return
    console.print(_accuracy_table(fp32, int8))
    console.print(_latency_table(opened, costs, precision.int8))
    say(f"records of the variant -> {_records_file(opened, str(precision))}")


def _indices(text: str) -> list[int]:
    from offramp.errors import ConfigError

    try:
        return [int(part) for part in text.split(",")]
    except ValueError as error:
        raise ConfigError(f"--segments must be numbers joined by commas, such as 0,1, not {text!r}") from error


def _tune_rows(cascade: Cascade, dataset: Dataset, count: int) -> tuple[NDArray[Any], ...]:
    """The first ``count`` tune rows of the cascade's split."""
    import numpy as np

    from offramp.data.dataset import split_rows
    from offramp.errors import ConfigError

    spec = cascade.manifest.data
    if spec is None or spec.sha256 != dataset.sha256:
        raise ConfigError(
            f"{cascade.path}: was not built on {dataset.name!r}, so its tune rows are unknown; "
            "pass the data it was built on, or import it with --data"
        )
    split = split_rows(dataset, spec.split_seed, spec.tune, spec.calibrate, spec.test)
    return cascade.reader()(dataset.rows(np.flatnonzero(split == "tune")[:count]))


def _records_file(cascade: Cascade, precision: str) -> Path:
    from offramp.cascade.precision import parse

    return cascade.path / "records" / f"{parse(precision).file_stem}.parquet"


def _record(cascade: Cascade, dataset: Dataset, precision: str, batch: int) -> Records:
    """Records of a precision; those of fp32 are read where they fit the cascade."""
    from offramp.errors import RecordMismatch
    from offramp.records.collect import collect
    from offramp.records.records import load_records

    file = _records_file(cascade, precision)
    if precision == "fp32" and file.is_file():
        try:
            stored = load_records(file)
            stored.require(cascade.manifest.fingerprint)
        except RecordMismatch as error:
            status_console.print(f"recording fp32 again: {error}")
        else:
            return stored
    with progress_bar(f"recording {precision}") as update:
        return collect(
            cascade,
            dataset,
            file,
            batch=batch,
            precision=precision,
            command=command_line(),
            commit=git_commit(),
            progress=update,
        )


def _accuracies(records: Records) -> list[float]:
    return [float(share) for share in records.on("test").correct.mean(1)]


def _agreement(fp32: Records, int8: Records) -> list[float]:
    ours, theirs = fp32.on("test"), int8.on("test")
    return [float(share) for share in (ours.predictions == theirs.predictions).mean(1)]


def _accuracy_table(fp32: Records, int8: Records) -> Table:
    from offramp.reporting.terminal import plain_table

    table = plain_table(
        f"Accuracy, {len(int8.on('test')):,} test rows",
        ["exit", "fp32", int8.provenance.variant, "same answer"],
        caption="measured: every exit on every row",
    )
    for name, before, after, same in zip(
        fp32.exit_names, _accuracies(fp32), _accuracies(int8), _agreement(fp32, int8), strict=True
    ):
        table.add_row(name, f"{before:.1%}", f"{after:.1%}", f"{same:.1%}")
    return table


def _latency_table(cascade: Cascade, costs: dict[tuple[int, str], float], int8: int) -> Table:
    from offramp.reporting.terminal import plain_table

    table = plain_table(
        "Milliseconds and file size",
        ["segment", "fp32 ms", "int8 ms", "faster by", "fp32 kB", "int8 kB"],
        caption="measured: median, one row, one thread, fresh process",
    )
    for index, spec in enumerate(cascade.manifest.segments[:int8]):
        variant = spec.variant("int8")
        assert variant is not None
        before, after = costs[index, "fp32"], costs[index, "int8"]
        table.add_row(
            str(index),
            f"{before * 1e3:.3f}",
            f"{after * 1e3:.3f}",
            f"{before / after:.2f} x",
            f"{spec.file_bytes / 1e3:,.1f}",
            f"{variant.file_bytes / 1e3:,.1f}",
        )
    return table


def _as_json(
    cascade: Cascade, fp32: Records, int8: Records, costs: dict[tuple[int, str], float], count: int
) -> dict[str, object]:
    return {
        "precision": int8.provenance.variant,
        "test_rows": len(int8.on("test")),
        "exits": [
            {"exit": name, "fp32_accuracy": before, "int8_accuracy": after, "same_answer": same}
            for name, before, after, same in zip(
                fp32.exit_names, _accuracies(fp32), _accuracies(int8), _agreement(fp32, int8), strict=True
            )
        ],
        "segments": [
            {"segment": index, "fp32_median_s": costs[index, "fp32"], "int8_median_s": costs[index, "int8"]}
            for index in range(count)
        ],
    }
