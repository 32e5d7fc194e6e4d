"""The evidence: for every sample the logits of every exit, the label and the split."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.errors import NotEnoughSamples, RecordMismatch

__all__ = ["RecordProvenance", "Records", "load_records"]

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class RecordProvenance:
    """Where records come from."""

    cascade: str
    cascade_fingerprint: str
    data: str
    data_sha256: str
    split_seed: int
    command: str
    created_utc: str
    commit: str | None = None
    variant: str = "fp32"
    engine: str = "onnxruntime"
    versions: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Records:
    """Logits of every exit on every sample.

    ``logits`` (E, n, K) float32; ``labels`` (n,) int64; ``split`` (n,) of `offramp.data.dataset.SPLITS`;
    ``row`` (n,) int64, the row in the data set.
    """

    logits: NDArray[np.float32]
    labels: NDArray[np.int64]
    split: NDArray[np.str_]
    row: NDArray[np.int64]
    exit_names: tuple[str, ...]
    provenance: RecordProvenance

    def __post_init__(self) -> None:
        exits, rows, _ = self.logits.shape
        if exits != len(self.exit_names):
            raise RecordMismatch(f"records hold {exits} exits, but {len(self.exit_names)} names")
        if not (len(self.labels) == len(self.split) == len(self.row) == rows):
            raise RecordMismatch("records: logits, labels, split and row must have the same number of rows")

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def exits(self) -> int:
        """E, the number of exits."""
        return int(self.logits.shape[0])

    @property
    def classes(self) -> int:
        """K, the number of classes."""
        return int(self.logits.shape[2])

    def on(self, *splits: str) -> Records:
        """Only the rows of the given splits.

        Raises
        ------
        NotEnoughSamples : there are none
        """
        chosen = np.isin(self.split, splits)
        if not chosen.any():
            raise NotEnoughSamples(
                f"records of {self.provenance.cascade!r} have no {' or '.join(splits)} rows; "
                "run 'offramp record' on data with these splits"
            )
        return self.take(np.flatnonzero(chosen))

    def take(self, index: NDArray[np.intp]) -> Records:
        """Only the rows at ``index``."""
        return replace(
            self,
            logits=self.logits[:, index],
            labels=self.labels[index],
            split=self.split[index],
            row=self.row[index],
        )

    @property
    def predictions(self) -> NDArray[np.int64]:
        """(E, n) the class each exit answers."""
        return np.asarray(self.logits.argmax(-1), np.int64)

    @property
    def correct(self) -> NDArray[np.bool_]:
        """(E, n) whether each exit is right."""
        return np.asarray(self.predictions == self.labels)

    def require(self, fingerprint: str) -> None:
        """Refuse records of another cascade.

        Raises
        ------
        RecordMismatch : the fingerprints differ
        """
        if self.provenance.cascade_fingerprint != fingerprint:
            raise RecordMismatch(
                f"the records were made with another build of {self.provenance.cascade!r} (fingerprint "
                f"{self.provenance.cascade_fingerprint[:12]}, the cascade has {fingerprint[:12]}); "
                "run 'offramp record' again"
            )

    def save(self, path: str | Path, dtype: str = "float32") -> None:
        """Write a Parquet file (zstd), atomically; ``dtype`` float16 halves it.

        Raises
        ------
        OSError : no space or no permission; a file that was there is left as it was
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        file = Path(path)
        file.parent.mkdir(parents=True, exist_ok=True)
        columns: dict[str, Any] = {
            "row": pa.array(self.row),
            "split": pa.array(self.split.tolist()).dictionary_encode(),
            "label": pa.array(self.labels),
        }
        for index in range(self.exits):
            flat = pa.array(np.ascontiguousarray(self.logits[index].astype(dtype)).ravel())
            columns[f"logits_{index}"] = pa.FixedSizeListArray.from_arrays(flat, self.classes)
        meta = {
            "schema_version": SCHEMA_VERSION,
            "exit_names": list(self.exit_names),
            **asdict(self.provenance),
        }
        table = pa.table(columns).replace_schema_metadata({"offramp": json.dumps(meta)})
        temporary = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            pq.write_table(table, temporary, compression="zstd")
            os.replace(temporary, file)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


def load_records(path: str | Path) -> Records:
    """Read a records file.

    Raises
    ------
    RecordMismatch : the file is missing, damaged, no records file, or of a newer version
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = Path(path)
    if not file.is_file():
        raise RecordMismatch(f"{file}: no such records file; 'offramp record CASCADE' makes one")
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as error:
        raise RecordMismatch(f"{file}: not a Parquet file, or damaged; run 'offramp record' again") from error
    raw = (table.schema.metadata or {}).get(b"offramp")
    if raw is None:
        raise RecordMismatch(f"{file}: a Parquet file, but not one of offramp's records")
    try:
        meta = json.loads(raw)
        version = meta.pop("schema_version")
        if version > SCHEMA_VERSION:
            raise RecordMismatch(f"{file}: schema version {version} is newer than {SCHEMA_VERSION}; upgrade offramp")
        return _from_table(table, meta)
    except (KeyError, TypeError, ValueError, AttributeError, pa.ArrowException) as error:
        if isinstance(error, RecordMismatch):
            raise
        raise RecordMismatch(f"{file}: damaged records ({error}); run 'offramp record' again") from error


def _from_table(table: Any, meta: dict[str, Any]) -> Records:
    names = tuple(meta.pop("exit_names"))
    logits = []
    for index in range(len(names)):
        column = table[f"logits_{index}"]
        flat = column.combine_chunks().flatten().to_numpy()
        logits.append(flat.reshape(len(table), column.type.list_size).astype(np.float32))
    return Records(
        logits=np.stack(logits),
        labels=table["label"].to_numpy(),
        split=np.array(table["split"].to_pylist(), dtype="<U9"),
        row=table["row"].to_numpy(),
        exit_names=names,
        provenance=RecordProvenance(**meta),
    )
