"""The evidence: for every sample the logits of every exit, the label and the split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.errors import NotEnoughSamples, RecordMismatch
from offramp.records.file import RecordsFile, write_tables
from offramp.records.table import Form, check_form, from_table, to_table

__all__ = ["RecordProvenance", "Records", "file_meta", "iter_records", "load_records", "records_of"]

_ROWS_PER_TABLE = 4096
_VALUES_PER_PIECE = 1 << 22


@dataclass(frozen=True)
class RecordProvenance:
    """Where records come from: the data and its split, what built the cascade, what recorded it.

    ``exit_flops`` (E,) are the FLOPs a row has cost when it leaves by each exit; empty where unknown.
    """

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
    cascade_command: str = ""
    cascade_commit: str | None = None
    cascade_seed: int | None = None
    exit_flops: tuple[int, ...] = ()


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
        """Write a Parquet file (zstd), atomically.

        Parameters
        ----------
        path : of the file
        dtype : ``float32``, ``float16`` for half the size, or ``compact`` (32 classes or more: log-probabilities
            whose scores are those of the logits to 1e-3)

        Raises
        ------
        ConfigError : an unknown dtype, or the compact form of too few classes
        OSError : no space or no permission; a file that was there is left as it was
        """
        form = check_form(dtype)
        write_tables(Path(path), self._tables(form), file_meta(self.exit_names, self.classes, form, self.provenance))

    def _tables(self, form: Form) -> Iterator[Any]:
        for begin in range(0, max(len(self), 1), _ROWS_PER_TABLE):
            here = slice(begin, begin + _ROWS_PER_TABLE)
            yield to_table(self.logits[:, here], self.labels[here], self.split[here], self.row[here], form)


def file_meta(exit_names: tuple[str, ...], classes: int, form: Form, provenance: RecordProvenance) -> dict[str, object]:
    """What a records file says of itself."""
    compact = {"form": form, "classes": classes} if form == "compact" else {}
    return {"exit_names": list(exit_names), **compact, **asdict(provenance)}


def load_records(path: str | Path) -> Records:
    """Read a records file whole; the logits are float32 whatever they were stored as.

    Raises
    ------
    RecordMismatch : the file is missing, damaged, no records file, or of a newer version
    """
    file = RecordsFile(path)
    return _joined(_parts(file.tables(), file.meta, str(file.path)), len(file))


def iter_records(path: str | Path) -> Iterator[Records]:
    """Read a records file some thousand rows at a time, for files larger than memory.

    Raises
    ------
    RecordMismatch : as `load_records`
    """
    file = RecordsFile(path)
    return _parts(file.tables(), file.meta, str(file.path))


def records_of(tables: Iterable[Any], rows: int, meta: Mapping[str, Any]) -> Records:
    """Records of so many rows from the tables a file would hold, and its metadata."""
    return _joined(_parts(tables, meta, "records"), rows)


def _joined(found: Iterable[Records], rows: int) -> Records:
    begin = 0
    parts: list[Records] = []
    logits: NDArray[np.float32] = np.empty(0, np.float32)
    for part in found:
        if not parts:  # one array from the start: it and one part are all that is in memory
            logits = np.empty((part.exits, rows, part.classes), np.float32)
        end = begin + len(part)
        logits[:, begin:end] = part.logits
        parts.append(replace(part, logits=logits[:, begin:end]))
        begin = end
    return replace(
        parts[0],
        logits=logits,
        labels=np.concatenate([part.labels for part in parts]),
        split=np.concatenate([part.split for part in parts]),
        row=np.concatenate([part.row for part in parts]),
    )


def _parts(tables: Iterable[Any], meta: Mapping[str, Any], where: str) -> Iterator[Records]:
    body = dict(meta)
    try:
        names = tuple(body.pop("exit_names"))
        form, classes = body.pop("form", "float32"), body.pop("classes", None)
        flops = tuple(body.pop("exit_flops", ()))
        provenance = RecordProvenance(**body, exit_flops=flops)
        for table in _sliced(tables, len(names) * (classes or 1)):
            yield Records(
                logits=from_table(table, len(names), classes if form == "compact" else None),
                labels=table["label"].to_numpy(),
                split=np.array(table["split"].to_pylist(), dtype="<U9"),
                row=table["row"].to_numpy(),
                exit_names=names,
                provenance=provenance,
            )
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        if isinstance(error, RecordMismatch):
            raise
        raise RecordMismatch(f"{where}: damaged records ({error}); run 'offramp record' again") from error


def _sliced(tables: Iterable[Any], values_per_row: int) -> Iterator[Any]:
    """The tables in pieces of no more than `_VALUES_PER_PIECE` logits (the compact form grows when it is read)."""
    rows = max(1, _VALUES_PER_PIECE // values_per_row)
    for table in tables:
        for begin in range(0, max(len(table), 1), rows):
            yield table.slice(begin, rows)
