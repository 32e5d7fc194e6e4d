"""One recording: which rows, in which parts, and where they come from."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.manifest import DataSpec, Manifest
from offramp.cascade.store import Cascade
from offramp.data.dataset import SPLITS, split_rows
from offramp.data.shift import ShiftedRows
from offramp.data.source import RowSource
from offramp.errors import ConfigError, RecordMismatch
from offramp.records.compact import LOWEST_CLASSES
from offramp.records.engine import Engine
from offramp.records.part import Part, PartOptions
from offramp.records.partial import PartKey, PartStore
from offramp.records.records import RecordProvenance, file_meta

__all__ = ["Recording", "Selection"]

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Selection:
    """Which rows: those of some splits, every so many-th.

    Raises
    ------
    ConfigError : an unknown split, or ``every`` below 1
    """

    splits: Sequence[str] = ("tune", "calibrate", "test")
    every: int = 1

    def __post_init__(self) -> None:
        if unknown := [name for name in self.splits if name not in SPLITS]:
            raise ConfigError(f"unknown split {unknown[0]!r}; the splits are {', '.join(SPLITS)}")
        if self.every < 1:
            raise ConfigError(f"every must be at least 1, not {self.every}")


@dataclass
class Recording:
    """What `offramp.records.collect` works on.

    ``split`` (n,) covers the whole data set, ``rows`` (m,) are those recorded, ``rows_per_part`` of
    them at a time.

    Raises
    ------
    RecordMismatch : the cascade was built on other data, or does not say on which, or no row is selected
    ConfigError : a batch below 1, or the compact form of too few classes
    """

    cascade: Cascade
    source: RowSource
    selection: Selection
    options: PartOptions
    rows_per_part: int
    split: NDArray[np.str_] = field(init=False)
    rows: NDArray[np.intp] = field(init=False)
    data: DataSpec = field(init=False)

    def __post_init__(self) -> None:
        manifest = self.cascade.manifest
        if self.options.batch < 1:
            raise ConfigError(f"batch must be at least 1, not {self.options.batch}")
        if self.options.form == "compact" and len(manifest.labels) < LOWEST_CLASSES:
            raise ConfigError(
                f"the compact form needs at least {LOWEST_CLASSES} classes, but {manifest.name!r} has "
                f"{len(manifest.labels)}; use float16"
            )
        self.data = spec = _require_data(manifest, self.source)
        self.split = split_rows(self.source, spec.split_seed, spec.tune, spec.calibrate, spec.test)
        self.rows = np.flatnonzero(np.isin(self.split, self.selection.splits))[:: self.selection.every]
        if not len(self.rows):
            raise RecordMismatch(
                f"{self.source.name}: the split of cascade {manifest.name!r} has no "
                f"{'/'.join(self.selection.splits)} rows"
            )

    @property
    def key(self) -> PartKey:
        """What its parts belong to."""
        return PartKey(
            cascade_fingerprint=self.cascade.manifest.fingerprint,
            precision=self.options.variant,
            data=self.source.name,
            data_sha256=self.data.sha256,
            split_seed=self.data.split_seed,
            rows_sha256=hashlib.sha256(self.rows.astype("<i8").tobytes()).hexdigest(),
            rows_per_part=self.rows_per_part,
            batch=self.options.batch,
            form=self.options.form,
        )

    def fill(self, store: PartStore, engine: Engine, progress: Progress | None) -> None:
        """Compute the parts that the store does not have yet."""
        total, finished = len(self.rows), 0
        missing = []
        for number in range(self._parts):
            rows = self._rows_of(number)
            if store.has(number, len(rows)):
                finished += len(rows)
                if progress is not None:
                    progress(finished, total)
            else:
                missing.append(number)

        def tell(done: int) -> None:
            if progress is not None:
                progress(finished + done, total)

        for part, content in engine.run((self._part(number) for number in missing), tell):
            store.save(part.number, content)
            finished += len(part)
            tell(0)

    def tables(self, store: PartStore) -> Iterator[Any]:
        """The Arrow table of every part, in order."""
        return (store.table(number) for number in range(self._parts))

    def meta(self, command: str, commit: str | None) -> dict[str, object]:
        """What the file says of itself."""
        manifest, form = self.cascade.manifest, self.options.form
        return file_meta(manifest.exit_names, len(manifest.labels), form, self._provenance(command, commit))

    @property
    def _parts(self) -> int:
        return -(-len(self.rows) // self.rows_per_part)

    def _rows_of(self, number: int) -> NDArray[np.intp]:
        return self.rows[number * self.rows_per_part : (number + 1) * self.rows_per_part]

    def _part(self, number: int) -> Part:
        rows = self._rows_of(number)
        labels = np.asarray(self.source.labels[rows], np.int64)
        return Part(number, self.source.rows(rows), labels, self.split[rows], rows.astype(np.int64))

    def _provenance(self, command: str, commit: str | None) -> RecordProvenance:
        manifest = self.cascade.manifest
        return RecordProvenance(
            cascade=manifest.name,
            cascade_fingerprint=manifest.fingerprint,
            data=self.source.name,
            data_sha256=self.data.sha256,
            split_seed=self.data.split_seed,
            command=command,
            created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
            commit=commit,
            variant=self.options.variant,
            versions={
                "python": ".".join(str(part) for part in sys.version_info[:3]),
                **{name: version(name) for name in ("offramp", "onnxruntime", "numpy")},
            },
            cascade_command=manifest.provenance.command,
            cascade_commit=manifest.provenance.commit,
            cascade_seed=manifest.provenance.seed,
            exit_flops=_exit_flops(manifest),
        )


def _exit_flops(manifest: Manifest) -> tuple[int, ...]:
    flops = [segment.flops for segment in manifest.segments]
    if None in flops:
        return ()
    spent = np.cumsum(np.array(flops, np.int64))
    return tuple(int(spent[segment]) for segment in manifest.exit_segments)


def _require_data(manifest: Manifest, source: RowSource) -> DataSpec:
    spec = manifest.data
    if spec is None:
        raise RecordMismatch(
            f"the cascade {manifest.name!r} does not say what data it was built on, so its rows cannot be split "
            "as they were for training; build it with 'offramp build'"
        )
    base = source.base if isinstance(source, ShiftedRows) else source
    if (found := base.sha256) != spec.sha256:
        raise RecordMismatch(
            f"the cascade {manifest.name!r} was built on {spec.name!r} with sha256 {spec.sha256[:12]}, "
            f"but {base.name!r} has {found[:12]}; pass the data it was built on"
        )
    return spec
