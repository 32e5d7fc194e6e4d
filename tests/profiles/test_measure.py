"""Measuring in a fresh process."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.store import Cascade, open_cascade
from offramp.codecs.registry import codec_names, get_codec
from offramp.errors import CascadeError, ConfigError, SampleError
from offramp.profiles import worker
from offramp.profiles.machine import this_machine
from offramp.profiles.measure import measure
from offramp.profiles.profile import TransportCost, load_profile
from offramp.profiles.timing import MIN_REPEATS, pinned
from offramp.profiles.worker import WorkerReply, WorkerRequest, measure_here
from tests.support.images import make_image_cascade
from tests.support.tiny import make_tiny_cascade, tiny_rows
from tests.support.tiny_text import make_tiny_text_cascade

TRANSPORT = TransportCost(hop_s=1e-3, request_overhead_bytes=100, answer_bytes=50)


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


def request(cascade: Cascade, **changes: object) -> WorkerRequest:
    base = WorkerRequest(
        cascade=str(cascade.path), slow_down=1.0, codecs=("raw", "zstd"), samples=None, repeats=20, budget_s=0.5
    )
    return base.model_copy(update=changes)


def test_a_profile_covers_every_segment_cut_and_codec(cascade: Cascade, tmp_path: Path) -> None:
    x = tiny_rows(8)
    profile = measure(
        cascade.path, "edge", transport=TRANSPORT, codecs=("raw", "uint8"), samples=[x], repeats=20, budget_s=0.5
    )
    profile.require(cascade.manifest.fingerprint)
    assert (profile.tier, profile.slow_down, profile.how) == ("edge", 1.0, "measured")
    assert profile.exit_segments == (0, 1, 2)
    assert [s.segment for s in profile.segments] == [0, 1, 2]
    for segment in profile.segments:
        assert 0 < segment.median_s <= segment.p95_s
        assert MIN_REPEATS <= segment.repeats <= 20
    assert [s.macs for s in profile.segments] == [4 * 8, 8 * 8, 8 * 8]
    assert [s.model_bytes for s in profile.segments] == [s.file_bytes for s in cascade.manifest.segments]
    assert [(p.cut, p.codec) for p in profile.payloads] == [(c, k) for c in range(3) for k in ("raw", "uint8")]
    assert [profile.payload(cut, "raw").payload_bytes for cut in range(3)] == [16, 32, 32]
    assert profile.transport == TRANSPORT
    assert profile.machine == this_machine()
    profile.save(tmp_path / "edge.json")
    assert load_profile(tmp_path / "edge.json") == profile


def test_payload_bytes_are_those_of_real_features(cascade: Cascade, tmp_path: Path) -> None:
    x, file, codec = tiny_rows(8), tmp_path / "samples.npz", get_codec("zstd")
    np.savez(file, x)
    reply = measure_here(request(cascade, samples=str(file), codecs=("zstd",)))
    features, _ = cascade.segment(0).run_with_logits((x,))
    for cut, rows in ((0, x), (1, features[0])):
        expected = np.mean([len(codec.encode(rows[i : i + 1])) for i in range(8)])
        assert reply.payloads[cut].payload_bytes == pytest.approx(expected)


def test_a_slow_tier_takes_its_time(cascade: Cascade) -> None:
    here, slow = (measure_here(request(cascade, slow_down=factor)) for factor in (1.0, 20.0))
    assert sum(s.median_s for s in slow.segments) > 2 * sum(s.median_s for s in here.segments)


def test_batches_are_measured_beside_single_rows(cascade: Cascade) -> None:
    reply = measure_here(request(cascade, batches=(1, 8)))
    assert [(s.batch, s.segment) for s in reply.segments] == [(b, i) for b in (1, 8) for i in range(3)]
    profile = measure(cascade.path, "edge", transport=TRANSPORT, repeats=15, budget_s=0.1, batches=(8,))
    assert {s.batch for s in profile.segments} == {1, 8}


def test_the_work_of_a_text_is_that_of_a_typical_row_whatever_the_batch(tmp_path: Path) -> None:
    cascade, file = make_tiny_text_cascade(tmp_path), tmp_path / "samples.npz"
    rows = np.ones((4, 8), np.int64)
    mask = (np.arange(8) < np.array([[2], [8], [8], [8]])).astype(np.int64)
    np.savez(file, *[rows * mask, mask, 0 * mask][: len(cascade.manifest.inputs)])
    reply = measure_here(request(cascade, samples=str(file), batches=(1, 4), codecs=("raw",)))
    by_batch = [[s.macs for s in reply.segments if s.batch == batch] for batch in (1, 4)]
    assert by_batch[0] == by_batch[1]
    assert all(macs is not None and macs > 0 for macs in by_batch[0])


def test_the_worker_stays_on_one_processor_and_says_which(cascade: Cascade) -> None:
    before = os.sched_getaffinity(0)
    with pinned() as cpu:
        assert os.sched_getaffinity(0) == {cpu}
    assert os.sched_getaffinity(0) == before
    profile = measure(cascade.path, "edge", transport=TRANSPORT, repeats=15, budget_s=0.1)
    assert profile.pinned_cpu == cpu


def test_where_a_process_cannot_be_pinned(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "sched_setaffinity", refuse)
    with pinned() as cpu:
        assert cpu is None
    monkeypatch.delattr(os, "sched_setaffinity")
    with pinned() as cpu:
        assert cpu is None


@pytest.mark.parametrize("codec", codec_names())
def test_every_codec_is_measured_where_it_holds_the_tensors(cascade: Cascade, codec: str) -> None:
    if codec in ("webp", "jpeg"):
        with pytest.raises(ConfigError, match=f"codec '{codec}' holds the tensors of no cut of 'tiny'"):
            measure_here(request(cascade, codecs=(codec,)))
    else:
        reply = measure_here(request(cascade, codecs=(codec,), repeats=15, budget_s=0.01))
        assert [p.cut for p in reply.payloads] == [0, 1, 2]
        assert all(p.payload_bytes > 0 and p.encode_s > 0 and p.decode_s > 0 for p in reply.payloads)


def test_pictures_are_measured_at_the_input_only(tmp_path: Path) -> None:
    cascade = make_image_cascade(tmp_path)
    images = np.zeros((3, 8, 8, 3), np.uint8)
    profile = measure(
        cascade.path, "edge", transport=TRANSPORT, codecs=("raw", "webp"), samples=images, repeats=15, budget_s=0.1
    )
    assert profile.codecs == ("raw",)
    assert profile.codecs_at(0) == ("raw", "webp")
    assert profile.codecs_at(1) == ("raw",)
    assert profile.payload(0, "raw").payload_bytes == 192


def test_random_rows_when_there_are_none(cascade: Cascade) -> None:
    reply = measure_here(request(cascade))
    assert [p.payload_bytes for p in reply.payloads if p.codec == "raw"] == [16, 32, 32]


def test_a_worker_that_fails_says_why(cascade: Cascade) -> None:
    (cascade.path / "segment-00.onnx").unlink()
    with pytest.raises(CascadeError, match="segment 0 is missing"):
        measure(cascade.path, "edge", transport=TRANSPORT)
    done = subprocess.run(
        [sys.executable, "-m", "offramp.profiles.worker"],
        input=request(cascade).model_dump_json(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 3
    assert done.stdout == ""
    assert "segment 0 is missing" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("returncode", "stdout", "stderr", "words"),
    [
        (1, "", "Traceback\nboom\n\n", "measuring tier 'edge' failed with exit code 1: boom"),
        (-9, "", "", "failed with exit code -9: no message"),
        (0, "hello", "", "the measuring process answered nonsense"),
    ],
)
def test_a_worker_that_crashes(
    cascade: Cascade, monkeypatch: pytest.MonkeyPatch, returncode: int, stdout: str, stderr: str, words: str
) -> None:
    def crash(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess(command, returncode, stdout, stderr)

    monkeypatch.setattr(subprocess, "run", crash)
    with pytest.raises(ConfigError, match=words):
        measure(cascade.path, "edge", transport=TRANSPORT)


def test_bad_options(cascade: Cascade) -> None:
    with pytest.raises(ConfigError, match=r"slow_down must be at least 1, not 0\.5"):
        measure(cascade.path, "edge", transport=TRANSPORT, slow_down=0.5)
    with pytest.raises(ConfigError, match="repeats must be at least 15, not 3"):
        measure(cascade.path, "edge", transport=TRANSPORT, repeats=3)
    with pytest.raises(ConfigError, match="a batch has at least 1 row, not 0"):
        measure(cascade.path, "edge", transport=TRANSPORT, batches=(0, 8))
    with pytest.raises(ConfigError, match="unknown codec 'zip'"):
        measure(cascade.path, "edge", transport=TRANSPORT, codecs=("zip",))
    with pytest.raises(SampleError, match="expected dtype float32"):
        measure(cascade.path, "edge", transport=TRANSPORT, samples=np.zeros((2, 4)))


def test_the_worker_speaks_json(
    cascade: Cascade, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO(request(cascade, codecs=("raw",)).model_dump_json()))
    assert worker.main() == 0
    reply = WorkerReply.model_validate_json(capsys.readouterr().out)
    assert len(reply.segments) == len(open_cascade(cascade.path).manifest.segments)
