"""Recording at scale: several processes, bounded memory, the compact form on disk, shifted rows."""

from __future__ import annotations

import importlib.util
import multiprocessing
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import offramp.records.collect
import offramp.records.records
from benchmarks.synthetic import conv_cascade
from offramp.confidence.scores import Margin, MaxProbability, NegativeEntropy
from offramp.data.dataset import Dataset, split_rows
from offramp.data.shift import Shift, ShiftedRows
from offramp.errors import ConfigError, OfframpError, RecordMismatch
from offramp.records.collect import collect, collect_to_file
from offramp.records.records import iter_records, load_records
from tests.records.test_collect import assert_same
from tests.support.blobs import blobs, built_on, cascade_on
from tests.support.generated import GeneratedRows, wide_cascade

ROOT = Path(__file__).parents[2]
RAY = importlib.util.find_spec("ray") is not None


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(offramp.records.collect, "ROWS_PER_PART", 16)


@pytest.fixture
def dataset() -> Dataset:
    return blobs()


def test_two_processes_give_the_same_records(dataset: Dataset, tmp_path: Path) -> None:
    cascade = cascade_on(dataset, tmp_path)
    seen: list[tuple[int, int]] = []
    two = collect(
        cascade, dataset, tmp_path / "two.parquet", batch=7, processes=2, progress=lambda *at: seen.append(at)
    )
    assert_same(two, collect(cascade, dataset, batch=7))
    assert seen == [(16, 72), (32, 72), (48, 72), (64, 72), (72, 72)]


def test_a_failure_in_a_process_is_told_as_it_is(dataset: Dataset, tmp_path: Path) -> None:
    bad = replace(dataset, inputs=(np.full((120, 4), np.nan, np.float32),))
    with pytest.raises(ConfigError, match="input 'x': row 0 holds NaN"):
        collect(cascade_on(bad, tmp_path), bad, processes=2)


def test_a_killed_process_leaves_what_is_finished(dataset: Dataset, tmp_path: Path) -> None:
    cascade, file = cascade_on(dataset, tmp_path), tmp_path / "r.parquet"

    def kill(done: int, total: int) -> None:
        for child in multiprocessing.active_children():
            child.kill()

    with pytest.raises(OfframpError, match=r"a recording process ended without an answer .* run the same again"):
        collect(cascade, dataset, file, processes=2, progress=kill)
    assert (tmp_path / "r.parquet.partial" / "part-00000.parquet").is_file()
    assert_same(collect(cascade, dataset, file), collect(cascade, dataset))


@pytest.mark.skipif(not RAY, reason="Ray is not installed")
@pytest.mark.filterwarnings("default")
def test_ray_gives_the_same_records(dataset: Dataset, tmp_path: Path) -> None:
    cascade = cascade_on(dataset, tmp_path)
    spread = collect(cascade, dataset, tmp_path / "ray.parquet", engine="ray", processes=2)
    assert_same(spread, collect(cascade, dataset))
    bad = replace(dataset, inputs=(np.full((120, 4), np.nan, np.float32),))
    with pytest.raises(ConfigError, match="input 'x': row 0 holds NaN"):
        collect(cascade_on(bad, tmp_path / "bad"), bad, engine="ray")


@pytest.mark.skipif(RAY, reason="Ray is installed")
def test_ray_is_an_extra(dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the engine ray needs Ray"):
        collect(cascade_on(dataset, tmp_path), dataset, engine="ray")


def test_bad_options(dataset: Dataset, tmp_path: Path) -> None:
    cascade = cascade_on(dataset, tmp_path)
    with pytest.raises(ConfigError, match="processes must be at least 1, not 0"):
        collect(cascade, dataset, processes=0)
    with pytest.raises(ConfigError, match="unknown engine 'spark'; write local or ray"):
        collect(cascade, dataset, engine="spark")
    with pytest.raises(ConfigError, match="every must be at least 1, not 0"):
        collect(cascade, dataset, every=0)
    with pytest.raises(ConfigError, match="logits are stored as float32, float16, compact, not 'int8'"):
        collect(cascade, dataset, form="int8")
    with pytest.raises(ConfigError, match="needs at least 32 classes, but 'tiny' has 3; use float16"):
        collect(cascade, dataset, form="compact")
    with pytest.raises(TypeError, match="unexpected keyword argument 'bacth'"):
        collect(cascade, dataset, bacth=3)  # type: ignore[call-arg]  # a slip of the pen


def test_a_file_is_read_in_pieces(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import offramp.records.file

    monkeypatch.setattr(offramp.records.file, "_GROUP_ROWS", 32)
    file = collect_to_file(cascade_on(dataset, tmp_path), dataset, tmp_path / "r.parquet")
    pieces = list(iter_records(file))
    assert [len(piece) for piece in pieces] == [32, 32, 8]
    np.testing.assert_array_equal(np.concatenate([p.logits for p in pieces], 1), load_records(file).logits)
    with pytest.raises(RecordMismatch, match="no such records file"):
        iter_records(tmp_path / "none.parquet")


def test_every_second_test_row_of_a_shifted_set(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 3, 32, 32), dtype=np.uint8)
    base = Dataset("images", (images,), np.arange(60) % 10, tuple("abcdefghij"), np.zeros(60, bool))
    cascade = built_on(conv_cascade(tmp_path, (1, 1)), base)
    source = ShiftedRows(base, Shift("noise", 20))
    records = collect(cascade, source, tmp_path / "r.parquet", splits=["test"], every=2)
    np.testing.assert_array_equal(records.row, np.flatnonzero(split_rows(base, 7, 0.2, 0.2, 0.2) == "test")[::2])
    assert (records.provenance.data, records.provenance.data_sha256) == ("images+noise20", base.sha256)
    plain = collect(cascade, base, splits=["test"], every=2)
    np.testing.assert_array_equal(records.labels, plain.labels)
    assert (records.logits != plain.logits).any()
    with pytest.raises(RecordMismatch, match="pass the data it was built on"):
        collect(cascade, ShiftedRows(replace(base, labels=base.labels[::-1]), Shift("blur", 1)))


def test_compact_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = GeneratedRows(100, 50)
    cascade = wide_cascade(tmp_path, 3, 50)
    full = collect(cascade, rows)
    file = collect_to_file(cascade, rows, tmp_path / "compact.parquet", form="compact", processes=2)
    compact = load_records(file)
    for name in ("labels", "split", "row", "predictions", "correct"):
        np.testing.assert_array_equal(getattr(compact, name), getattr(full, name))
    assert compact.logits.shape == full.logits.shape
    for score in (MaxProbability(), Margin(), NegativeEntropy()):
        for temperature in (0.5, 1.0, 3.0):
            for ours, theirs in zip(compact.logits, full.logits, strict=True):
                np.testing.assert_allclose(
                    score.score(ours / temperature), score.score(theirs / temperature), atol=1e-3
                )
    monkeypatch.setattr(offramp.records.records, "_VALUES_PER_PIECE", 40 * 150)
    pieces = list(iter_records(file))
    assert [len(piece) for piece in pieces] == [40, 40, 20]
    np.testing.assert_array_equal(np.concatenate([p.logits for p in pieces], 1), compact.logits)
    again = tmp_path / "again.parquet"
    full.save(again, "compact")
    np.testing.assert_array_equal(load_records(again).logits, compact.logits)


MEASURE = """
import resource, sys
from pathlib import Path
from offramp.records.collect import collect_to_file
from offramp.records.records import iter_records
from tests.support.generated import GeneratedRows, wide_cascade

rows, exits, classes = (int(value) for value in sys.argv[1:4])
form, folder = sys.argv[4], Path(sys.argv[5])
cascade = wide_cascade(folder, exits, classes)
collect_to_file(cascade, GeneratedRows(1024, classes), folder / "small.parquet", form=form)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
file = collect_to_file(cascade, GeneratedRows(rows, classes), folder / "r.parquet", form=form)
seen = sum(len(part) for part in iter_records(file))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(seen, before * 1024, peak * 1024)
"""


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    rows, exits, classes = 20_000, 3, 400
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(rows), str(exits), str(classes), "float16", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    seen, before, peak = (int(value) for value in done.stdout.split())
    assert seen == rows
    in_ram = rows * exits * classes * 4  # bytes
    assert peak - before < 0.7 * in_ram
