"""Running every exit on every row, once."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.manifest import DataSpec, Manifest
from offramp.cascade.sample import check_rows
from offramp.cascade.segment import Segment
from offramp.cascade.store import Cascade
from offramp.data.dataset import SPLITS, Dataset, split_rows
from offramp.errors import ConfigError, RecordMismatch
from offramp.records.partial import PartKey, Parts
from offramp.records.records import RecordProvenance, Records

__all__ = ["ROWS_PER_PART", "collect"]

#: rows computed between two savings of an unfinished recording
ROWS_PER_PART = 1024

Array = NDArray[Any]
Progress = Callable[[int, int], None]


def collect(
    cascade: Cascade,
    dataset: Dataset,
    path: str | Path | None = None,
    *,
    splits: Sequence[str] = ("tune", "calibrate", "test"),
    batch: int = 64,
    precision: str = "fp32",
    command: str = "",
    commit: str | None = None,
    progress: Progress | None = None,
) -> Records:
    """Record the logits of every exit on the rows of some splits.

    With a ``path`` an interrupted recording continues where it stopped and ends in the same records:
    finished parts wait in ``PATH.partial/`` until the file is complete.

    Parameters
    ----------
    cascade : what to run
    dataset : the data it was built on; its split is repeated from the manifest
    path : records file to write; ``None`` writes nothing
    splits : which rows
    batch : rows per run
    precision : ``fp32``, or a plan's precision such as ``int8:2``
    command, commit : go into the provenance
    progress : called with (rows done, rows in all)

    Raises
    ------
    RecordMismatch : the cascade was built on other data, or does not say on which
    SampleError : rows that the cascade cannot take
    ConfigError : an unknown split, or a batch below 1
    OSError : no space or no permission; an older records file stays, and so do the finished parts
    """
    manifest = cascade.manifest
    spec = _require_data(manifest, dataset)
    _check_options(splits, batch)
    split = split_rows(dataset, spec.split_seed, spec.tune, spec.calibrate, spec.test)
    rows = np.flatnonzero(np.isin(split, splits))
    if not len(rows):
        raise RecordMismatch(f"{dataset.name}: the split of cascade {manifest.name!r} has no {'/'.join(splits)} rows")
    parts = None if path is None else _parts(Path(path), manifest, spec, rows, batch, precision)
    logits = _run_all(cascade, dataset, rows, batch, precision, parts, progress)
    provenance = _provenance(manifest, spec, precision, command, commit)
    records = Records(logits, dataset.labels[rows], split[rows], rows.astype(np.int64), manifest.exit_names, provenance)
    if path is not None and parts is not None:
        records.save(path)
        parts.discard()
    return records


def _require_data(manifest: Manifest, dataset: Dataset) -> DataSpec:
    spec = manifest.data
    if spec is None:
        raise RecordMismatch(
            f"the cascade {manifest.name!r} does not say what data it was built on, so its rows cannot be split "
            "as they were for training; build it with 'offramp build'"
        )
    if (found := dataset.sha256) != spec.sha256:
        raise RecordMismatch(
            f"the cascade {manifest.name!r} was built on {spec.name!r} with sha256 {spec.sha256[:12]}, "
            f"but {dataset.name!r} has {found[:12]}; pass the data it was built on"
        )
    return spec


def _parts(path: Path, manifest: Manifest, spec: DataSpec, rows: NDArray[np.intp], batch: int, precision: str) -> Parts:
    key = PartKey(
        cascade_fingerprint=manifest.fingerprint,
        precision=precision,
        data_sha256=spec.sha256,
        split_seed=spec.split_seed,
        rows_sha256=hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest(),
        rows_per_part=ROWS_PER_PART,
        batch=batch,
    )
    return Parts(path, key, (len(manifest.exit_names), len(manifest.labels)))


def _check_options(splits: Sequence[str], batch: int) -> None:
    if unknown := [name for name in splits if name not in SPLITS]:
        raise ConfigError(f"unknown split {unknown[0]!r}; the splits are {', '.join(SPLITS)}")
    if batch < 1:
        raise ConfigError(f"batch must be at least 1, not {batch}")


def _run_all(
    cascade: Cascade,
    dataset: Dataset,
    rows: NDArray[np.intp],
    batch: int,
    precision: str,
    parts: Parts | None,
    progress: Progress | None,
) -> NDArray[np.float32]:
    """Logits (E, n, K), part by part."""
    manifest = cascade.manifest
    segments = cascade.load_segments(precision=precision)
    logits = np.empty((len(manifest.exit_names), len(rows), len(manifest.labels)), np.float32)
    for part, begin in enumerate(range(0, len(rows), ROWS_PER_PART)):
        chosen = rows[begin : begin + ROWS_PER_PART]
        here = logits[:, begin : begin + len(chosen)]
        stored = parts.load(part, len(chosen)) if parts is not None else None
        if stored is not None:
            here[:] = stored
        else:
            for first in range(0, len(chosen), batch):
                inputs = check_rows(manifest, dataset.rows(chosen[first : first + batch]))
                here[:, first : first + batch] = _run_batch(segments, inputs)
                if progress is not None:
                    progress(begin + first + len(inputs[0]), len(rows))
            if parts is not None:
                parts.save(part, here)
        if progress is not None:
            progress(begin + len(chosen), len(rows))
    return logits


def _run_batch(segments: Sequence[Segment], inputs: tuple[Array, ...]) -> Array:
    """Logits (E, n, K) of every exit; nobody leaves."""
    tensors, found = inputs, []
    for segment in segments:
        tensors, logits = segment.run_with_logits(tensors)
        if segment.spec.hand_over == "input":
            tensors = inputs
        if logits is not None:
            found.append(logits)
    return np.stack(found)


def _provenance(
    manifest: Manifest, spec: DataSpec, precision: str, command: str, commit: str | None
) -> RecordProvenance:
    return RecordProvenance(
        cascade=manifest.name,
        cascade_fingerprint=manifest.fingerprint,
        data=spec.name,
        data_sha256=spec.sha256,
        split_seed=spec.split_seed,
        command=command,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit,
        variant=precision,
        versions={
            "python": ".".join(str(part) for part in sys.version_info[:3]),
            **{name: version(name) for name in ("offramp", "onnxruntime", "numpy")},
        },
    )
