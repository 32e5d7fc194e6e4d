"""Records: round trip, slicing, and files that are refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from offramp.data.dataset import SPLITS
from offramp.errors import NotEnoughSamples, RecordMismatch
from offramp.records.records import RecordProvenance, Records, load_records

PROVENANCE = RecordProvenance(
    cascade="tiny",
    cascade_fingerprint="f" * 64,
    data="blobs",
    data_sha256="d" * 64,
    split_seed=3,
    command="offramp record tiny.cascade",
    created_utc="2026-01-01T00:00:00+00:00",
    versions={"numpy": "2"},
)


@st.composite
def some_records(draw: st.DrawFn, min_rows: int = 0) -> Records:
    exits, rows, classes = draw(st.integers(1, 3)), draw(st.integers(min_rows, 12)), draw(st.integers(2, 5))
    logits = draw(hnp.arrays(np.float32, (exits, rows, classes), elements=st.floats(-50, 50, width=16)))
    return Records(
        logits=logits,
        labels=draw(hnp.arrays(np.int64, rows, elements=st.integers(0, classes - 1))),
        split=np.array(draw(st.lists(st.sampled_from(SPLITS), min_size=rows, max_size=rows)), dtype="<U9"),
        row=draw(hnp.arrays(np.int64, rows, elements=st.integers(0, 2**40))),
        exit_names=tuple(f"exit {i}" for i in range(exits)),
        provenance=PROVENANCE,
    )


def small(rows: int = 6) -> Records:
    rng = np.random.default_rng(0)
    return Records(
        logits=rng.normal(size=(2, rows, 3)).astype(np.float32),
        labels=rng.integers(0, 3, rows),
        split=np.array((["tune", "calibrate", "test"] * rows)[:rows], dtype="<U9"),
        row=np.arange(rows),
        exit_names=("early", "final"),
        provenance=PROVENANCE,
    )


def assert_same(a: Records, b: Records) -> None:
    for name in ("logits", "labels", "split", "row"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert (a.exit_names, a.provenance) == (b.exit_names, b.provenance)


@settings(max_examples=40, deadline=None)
@given(records=some_records(), dtype=st.sampled_from(["float32", "float16"]))
def test_round_trip(records: Records, dtype: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("records") / "sub" / "r.parquet"
    records.save(file, dtype)
    assert_same(load_records(file), records)


@settings(max_examples=40, deadline=None)
@given(records=some_records(min_rows=1))
def test_splits_are_a_partition(records: Records) -> None:
    found = [records.on(name) for name in SPLITS if (records.split == name).any()]
    assert sum(len(part) for part in found) == len(records)
    assert sum(int(part.correct.sum()) for part in found) == int(records.correct.sum())


def test_no_rows_of_a_split() -> None:
    with pytest.raises(NotEnoughSamples, match="have no train rows"):
        small().on("train")


def test_another_cascade_is_refused() -> None:
    small().require("f" * 64)
    with pytest.raises(RecordMismatch, match="made with another build of 'tiny'"):
        small().require("e" * 64)


def test_sizes_must_agree() -> None:
    good = small()
    with pytest.raises(RecordMismatch, match="2 exits, but 1 names"):
        Records(good.logits, good.labels, good.split, good.row, ("early",), PROVENANCE)
    with pytest.raises(RecordMismatch, match="same number of rows"):
        Records(good.logits, good.labels[1:], good.split, good.row, good.exit_names, PROVENANCE)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(RecordMismatch, match="no such records file; 'offramp record CASCADE' makes one"):
        load_records(tmp_path / "none.parquet")


@pytest.mark.parametrize("keep", [0, 10, 200, -1])
def test_a_truncated_file(tmp_path: Path, keep: int) -> None:
    file = tmp_path / "r.parquet"
    small().save(file)
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(RecordMismatch, match="not a Parquet file, or damaged"):
        load_records(file)


def test_a_parquet_file_of_someone_else(tmp_path: Path) -> None:
    file = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": [1, 2]}), file)
    with pytest.raises(RecordMismatch, match="not one of offramp's records"):
        load_records(file)


def _with_metadata(file: Path, **changes: object) -> None:
    table = pq.read_table(file)
    meta = {**json.loads(table.schema.metadata[b"offramp"]), **changes}
    pq.write_table(table.replace_schema_metadata({"offramp": json.dumps(meta)}), file)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"schema_version": 2}, "schema version 2 is newer than 1; upgrade offramp"),
        ({"schema_version": None}, "damaged records"),
        ({"exit_names": ["early", "final", "third"]}, "damaged records"),
        ({"surprise": 1}, "damaged records .*surprise"),
    ],
)
def test_metadata_that_does_not_fit(tmp_path: Path, changes: dict[str, object], words: str) -> None:
    file = tmp_path / "r.parquet"
    small().save(file)
    _with_metadata(file, **changes)
    with pytest.raises(RecordMismatch, match=words):
        load_records(file)


def test_a_missing_column(tmp_path: Path) -> None:
    file = tmp_path / "r.parquet"
    small().save(file)
    pq.write_table(pq.read_table(file).drop_columns(["label"]), file)
    with pytest.raises(RecordMismatch, match=r"damaged records .*label"):
        load_records(file)


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "r.parquet"
    small().save(file)
    before = file.read_bytes()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        small(9).save(file)
    assert file.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["r.parquet"]
