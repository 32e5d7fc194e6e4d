"""Recording: every exit, every row, once; interrupted and continued."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import offramp.records.collect
from offramp.cascade.store import Cascade, open_cascade
from offramp.data.dataset import Dataset, split_rows
from offramp.errors import ConfigError, RecordMismatch, SampleError
from offramp.records.collect import collect
from offramp.records.records import Records, load_records
from tests.support.blobs import blobs, cascade_on
from tests.support.tiny import make_tiny_cascade


@pytest.fixture
def dataset() -> Dataset:
    return blobs()


@pytest.fixture
def cascade(dataset: Dataset, tmp_path: Path) -> Cascade:
    return cascade_on(dataset, tmp_path)


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offramp.records.collect, "ROWS_PER_PART", 16)


def assert_same(a: Records, b: Records) -> None:
    for name in ("logits", "labels", "split", "row"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
    assert a.exit_names == b.exit_names


def test_every_exit_on_every_held_out_row(cascade: Cascade, dataset: Dataset) -> None:
    records = collect(cascade, dataset, batch=7, command="offramp record", commit="abc")
    split = split_rows(dataset, 7, 0.2, 0.2, 0.2)
    np.testing.assert_array_equal(records.row, np.flatnonzero(split != "train"))
    np.testing.assert_array_equal(records.split, split[records.row])
    np.testing.assert_array_equal(records.labels, dataset.labels[records.row])
    assert records.exit_names == ("early", "middle1", "final")
    tensors = dataset.rows(records.row)
    for exit_index, segment in enumerate(cascade.load_segments()):
        tensors, logits = segment.run_with_logits(tensors)
        assert logits is not None
        np.testing.assert_allclose(records.logits[exit_index], logits, rtol=1e-5, atol=1e-6)
    assert records.provenance.cascade_fingerprint == cascade.manifest.fingerprint
    assert (records.provenance.data, records.provenance.commit) == ("blobs", "abc")
    assert set(records.provenance.versions) == {"python", "offramp", "onnxruntime", "numpy"}


def test_only_some_splits(cascade: Cascade, dataset: Dataset) -> None:
    assert set(collect(cascade, dataset, splits=["test"]).split) == {"test"}


def test_what_is_written_is_what_is_returned(cascade: Cascade, dataset: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "records" / "fp32.parquet"
    records = collect(cascade, dataset, file)
    assert_same(load_records(file), records)
    assert load_records(file).provenance == records.provenance
    assert [p.name for p in file.parent.iterdir()] == ["fp32.parquet"]


def test_an_interrupted_recording_continues(cascade: Cascade, dataset: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "r.parquet"
    whole = collect(cascade, dataset, batch=5)

    def interrupt(done: int, total: int) -> None:
        if done > 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(cascade, dataset, file, batch=5, progress=interrupt)
    assert not file.exists()
    assert len(list((tmp_path / "r.parquet.partial").glob("part-*.parquet"))) == 2

    seen: list[tuple[int, int]] = []
    continued = collect(cascade, dataset, file, batch=5, progress=lambda done, total: seen.append((done, total)))
    assert_same(continued, whole)
    assert seen[:3] == [(16, 72), (32, 72), (37, 72)]
    assert seen[-1] == (72, 72)
    assert not (tmp_path / "r.parquet.partial").exists()


def interrupted(cascade: Cascade, dataset: Dataset, file: Path) -> Path:
    def interrupt(done: int, total: int) -> None:
        if done > 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        collect(cascade, dataset, file, progress=interrupt, batch=8)
    return file.with_name(file.name + ".partial")


def test_parts_of_another_cascade_are_thrown_away(cascade: Cascade, dataset: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "r.parquet"
    interrupted(cascade, dataset, file)
    other = cascade_on(dataset, tmp_path / "other", seed=9)
    assert_same(collect(other, dataset, file, batch=8), collect(other, dataset, batch=8))


def test_a_damaged_part_is_computed_again(cascade: Cascade, dataset: Dataset, tmp_path: Path) -> None:
    file = tmp_path / "r.parquet"
    partial = interrupted(cascade, dataset, file)
    (partial / "part-00000.parquet").write_bytes(b"junk")
    whole = (partial / "part-00001.parquet").read_bytes()
    (partial / "part-00001.parquet").write_bytes(whole[:-30])
    assert_same(collect(cascade, dataset, file, batch=8), collect(cascade, dataset, batch=8))


def test_a_full_disk_keeps_the_old_records_and_the_parts(
    cascade: Cascade, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "r.parquet"
    old = collect(cascade, dataset, file, splits=["test"])

    whole = pq.ParquetWriter.write_table
    written: list[int] = []

    def full(writer: pq.ParquetWriter, table: pa.Table, *options: object) -> None:
        written.append(len(table))
        if len(written) > 2:
            raise OSError(28, "No space left on device")
        whole(writer, table, *options)

    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        collect(cascade, dataset, file)
    monkeypatch.undo()
    assert_same(load_records(file), old)
    assert len(list((tmp_path / "r.parquet.partial").glob("part-*.parquet"))) >= 1


def test_a_cascade_that_starts_again_from_the_input(dataset: Dataset, tmp_path: Path) -> None:
    first, second = make_tiny_cascade(tmp_path / "a", segments=1), make_tiny_cascade(tmp_path / "b", segments=1, seed=1)
    base = cascade_on(dataset, tmp_path / "c", segments=1).manifest
    specs = [
        c.manifest.segments[0].model_copy(update={"file": f"segment-0{i}.onnx", "hand_over": hand_over})
        for i, (c, hand_over) in enumerate([(first, "input"), (second, "features")])
    ]
    calibration = base.calibration.model_copy(update={"temperatures": (1.0, 1.0)})
    manifest = base.model_copy(update={"segments": tuple(specs), "calibration": calibration})
    folder = tmp_path / "two.cascade"
    folder.mkdir()
    for index, single in enumerate((first, second)):
        (folder / f"segment-0{index}.onnx").write_bytes((single.path / "segment-00.onnx").read_bytes())
    (folder / "cascade.json").write_text(manifest.to_json())
    records = collect(open_cascade(folder), dataset)
    for index, single in enumerate((first, second)):
        logits = single.segment(0).run_with_logits(dataset.rows(records.row))[1]
        assert logits is not None
        np.testing.assert_allclose(records.logits[index], logits, rtol=1e-5, atol=1e-6)


def test_other_data_is_refused(cascade: Cascade, dataset: Dataset) -> None:
    with pytest.raises(RecordMismatch, match=r"was built on 'blobs' with sha256 .* pass the data it was built on"):
        collect(cascade, blobs(seed=6))


def test_a_cascade_that_does_not_know_its_data(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(RecordMismatch, match="does not say what data"):
        collect(make_tiny_cascade(tmp_path / "plain"), dataset)


def test_rows_that_cannot_be_run_are_named(tmp_path: Path) -> None:
    bad = blobs()
    bad.inputs[0][:] = np.nan
    with pytest.raises(SampleError, match="input 'x': row 0 holds NaN"):
        collect(cascade_on(bad, tmp_path), bad)
    narrow = replace(blobs(), inputs=(np.zeros((120, 3), np.float32),))
    with pytest.raises(SampleError, match=r"expected shape \(rows, 4\), but found \(16, 3\)"):
        collect(cascade_on(narrow, tmp_path / "narrow"), narrow, batch=64)


def test_bad_options(cascade: Cascade, dataset: Dataset) -> None:
    with pytest.raises(ConfigError, match="unknown split 'tset'; the splits are train, tune, calibrate, test"):
        collect(cascade, dataset, splits=["tset"])
    with pytest.raises(ConfigError, match="batch must be at least 1, not 0"):
        collect(cascade, dataset, batch=0)
