"""``offramp record``: the evidence."""

from __future__ import annotations

from pathlib import Path

import typer

from offramp.cli.common import command_line, data_name, git_commit, progress_bar, records_file, say

__all__ = ["record"]


def record(
    cascade: Path = typer.Argument(..., help="The folder NAME.cascade."),
    data: str | None = typer.Option(None, help="Data set name or .npz file; default: the one it was built on."),
    output: Path | None = typer.Option(None, help="Records file; default: CASCADE/records/fp32.parquet."),
    batch: int = typer.Option(64, min=1, help="Rows per run."),
    dtype: str = typer.Option("float32", help="Stored logits: float32, or float16 for half the size."),
) -> None:
    """Run every exit on every tune, calibrate and test row, once. An interrupted run continues."""
    from offramp.cascade.store import open_cascade
    from offramp.data.registry import load_dataset
    from offramp.errors import ConfigError
    from offramp.records.collect import collect

    if dtype not in ("float32", "float16"):
        raise ConfigError(f"--dtype must be float32 or float16, not {dtype!r}")
    opened = open_cascade(cascade)
    dataset = load_dataset(data_name(opened.manifest, data))
    file = records_file(cascade, output)
    with progress_bar("recording") as update:
        records = collect(
            opened, dataset, file, batch=batch, command=command_line(), commit=git_commit(), progress=update
        )
    if dtype != "float32":
        records.save(file, dtype=dtype)
    counts = ", ".join(f"{name} {int((records.split == name).sum()):,}" for name in ("tune", "calibrate", "test"))
    accuracy = records.on("test").correct.mean(1)
    say(f"recorded {records.exits} exits on {len(records):,} rows ({counts}) -> {file}")
    say("test accuracy: " + "  ".join(f"{n} {a:.1%}" for n, a in zip(records.exit_names, accuracy, strict=True)))
