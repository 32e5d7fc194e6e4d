"""``offramp record``: the evidence."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from offramp.cli.common import command_line, data_name, git_commit, progress_bar, say

if TYPE_CHECKING:
    from offramp.data.source import RowSource

__all__ = ["record"]


def record(
    cascade: Path = typer.Argument(..., help="The folder NAME.cascade."),
    data: str | None = typer.Option(
        None, help="Data set name, file or folder, with a shift such as +blur1.5; default: the one it was built on."
    ),
    output: Path | None = typer.Option(None, help="Records file; default: CASCADE/records/PRECISION.parquet."),
    batch: int = typer.Option(64, min=1, help="Rows per run."),
    precision: str = typer.Option("fp32", help="fp32, or int8:N for the first N segments in int8."),
    codec: str | None = typer.Option(
        None, help="CODEC@CUT: as if the tensors at that cut had travelled in this codec, such as affine4@1."
    ),
    splits: str = typer.Option("tune,calibrate,test", help="Which rows, with commas between."),
    every: int = typer.Option(1, min=1, help="Keep every so many-th of these rows."),
    dtype: str = typer.Option("float32", help="Stored logits: float32, or float16 for half the size."),
    compact: bool = typer.Option(False, "--compact", help="Small form for 32 classes or more; scores stay to 1e-3."),
    processes: int = typer.Option(1, min=1, help="How many processes compute; the result is the same."),
    engine: str = typer.Option("local", help="local, or ray to spread the processes over a Ray cluster."),
) -> None:
    """Run every exit on every held-out row, once.

    An interrupted run continues."""
    from offramp.cascade.precision import parse
    from offramp.cascade.store import open_cascade
    from offramp.data.registry import load_source
    from offramp.errors import ConfigError
    from offramp.records.collect import collect_to_file

    if dtype not in ("float32", "float16"):
        raise ConfigError(f"--dtype must be float32 or float16, not {dtype!r}")
    opened = open_cascade(cascade)
    source = load_source(data_name(opened.manifest, data))
    stem = parse(precision).file_stem + (f"+{codec}" if codec else "") + _shift_of(source)
    file = output or cascade / "records" / f"{stem}.parquet"
    with progress_bar("recording") as update:
        collect_to_file(
            opened,
            source,
            file,
            splits=[name.strip() for name in splits.split(",")],
            every=every,
            batch=batch,
            precision=precision,
            codec=codec,
            form="compact" if compact else dtype,
            processes=processes,
            engine=engine,
            command=command_line(),
            commit=git_commit(),
            progress=update,
        )
    _tell(file)


def _shift_of(source: RowSource) -> str:
    """``+blur1.5`` of a shifted set, so that its records do not replace those of the plain one."""
    from offramp.data.shift import ShiftedRows

    return f"+{source.shift}" if isinstance(source, ShiftedRows) else ""


def _tell(file: Path) -> None:
    """How many rows the file holds, and how often each exit is right on the last of its splits."""
    import numpy as np

    from offramp.data.dataset import SPLITS
    from offramp.records.records import iter_records

    rows = dict.fromkeys(SPLITS, 0)
    right: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.int64]]] = {}
    names: tuple[str, ...] = ()
    for part in iter_records(file):
        names = part.exit_names
        for split in np.unique(part.split).tolist():
            here = part.split == split
            rows[split] += int(here.sum())
            right[split] = right.get(split, 0) + part.correct[:, here].sum(1)
    counts = ", ".join(f"{split} {count:,}" for split, count in rows.items() if count)
    say(f"recorded {len(names)} exits on {sum(rows.values()):,} rows ({counts}) -> {file}")
    split = next(name for name in reversed(SPLITS) if rows[name])
    accuracy = right[split] / rows[split]
    say(f"{split} accuracy: " + "  ".join(f"{n} {a:.1%}" for n, a in zip(names, accuracy, strict=True)))
