"""Running every exit on every row, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict, Unpack

from offramp.cascade.store import Cascade
from offramp.data.source import RowSource
from offramp.records.coded_cut import CodedCut
from offramp.records.engine import choose_engine
from offramp.records.file import write_tables
from offramp.records.part import PartOptions
from offramp.records.partial import MemoryParts, Parts, PartStore
from offramp.records.recording import Recording, Selection
from offramp.records.records import Records, load_records, records_of
from offramp.records.table import check_form

__all__ = ["ROWS_PER_PART", "CollectOptions", "collect", "collect_to_file"]

#: rows computed between two savings of an unfinished recording
ROWS_PER_PART = 1024

Progress = Callable[[int, int], None]


class CollectOptions(TypedDict, total=False):
    """Options of `collect` and `collect_to_file`.

    splits : which rows; default tune, calibrate and test
    every : keep every so many-th of these rows; default 1, all
    batch : rows per run; default 64
    precision : ``fp32`` (default), or a plan's precision such as ``int8:2``
    codec : ``CODEC@CUT``, such as ``uint8@1``: what the exits beyond that cut answer when its tensors travel in a lossy
        codec, every row alone. The provenance says so: its variant is ``fp32+uint8@1``
    form : how the logits are stored: ``float32`` (default), ``float16``, or ``compact`` for many classes
    processes : how many compute; default 1, this one. The result does not depend on it
    engine : ``local`` (default), or ``ray`` to spread the processes over a cluster
    command, commit : go into the provenance
    progress : called with (rows done, rows in all)
    """

    splits: Sequence[str]
    every: int
    batch: int
    precision: str
    codec: str | None
    form: str
    processes: int
    engine: str
    command: str
    commit: str | None
    progress: Progress | None


def collect(
    cascade: Cascade, dataset: RowSource, path: str | Path | None = None, **options: Unpack[CollectOptions]
) -> Records:
    """Record the logits of every exit on the rows of some splits.

    With a ``path`` an interrupted recording continues where it stopped and ends in the same records:
    finished parts wait in ``PATH.partial/`` until the file is complete.

    Parameters
    ----------
    cascade : what to run
    dataset : the data it was built on, or a shift of it; its split is repeated from the manifest
    path : records file to write; ``None`` writes nothing
    options : see `CollectOptions`

    Raises
    ------
    RecordMismatch : the cascade was built on other data, or does not say on which
    SampleError : rows that the cascade cannot take
    ConfigError : an unknown option, split, codec or engine, or a number below 1
    OSError : no space or no permission; an older records file stays, and so do the finished parts
    """
    if path is not None:
        return load_records(collect_to_file(cascade, dataset, path, **options))
    recording = _plan(cascade, dataset, options)
    store = MemoryParts()
    _fill(recording, store, options)
    return records_of(recording.tables(store), len(recording.rows), _meta(recording, options))


def collect_to_file(cascade: Cascade, dataset: RowSource, path: str | Path, **options: Unpack[CollectOptions]) -> Path:
    """The same into a file only: no more than a few parts are ever in memory; returns the path.

    Read it with `offramp.records.records.iter_records`, or with `load_records` where it fits.
    Parameters and errors are those of `collect`.
    """
    recording = _plan(cascade, dataset, options)
    file = Path(path)
    parts = Parts(file, recording.key)
    _fill(recording, parts, options)
    write_tables(file, recording.tables(parts), _meta(recording, options))
    parts.discard()
    return file


def _plan(cascade: Cascade, dataset: RowSource, options: CollectOptions) -> Recording:
    if unknown := sorted(set(options) - set(CollectOptions.__annotations__)):
        raise TypeError(f"collect() got an unexpected keyword argument {unknown[0]!r}")
    selection = Selection(options.get("splits", ("tune", "calibrate", "test")), options.get("every", 1))
    codec = options.get("codec")
    coded = None if codec is None else CodedCut.parse(codec, len(cascade.manifest.segments))
    part = PartOptions(
        options.get("batch", 64), options.get("precision", "fp32"), check_form(options.get("form", "float32")), coded
    )
    return Recording(cascade, dataset, selection, part, ROWS_PER_PART)


def _fill(recording: Recording, store: PartStore, options: CollectOptions) -> None:
    processes, name = options.get("processes", 1), options.get("engine", "local")
    engine = choose_engine(name, processes, recording.cascade, recording.options)
    recording.fill(store, engine, options.get("progress"))


def _meta(recording: Recording, options: CollectOptions) -> dict[str, object]:
    return recording.meta(options.get("command", ""), options.get("commit"))
