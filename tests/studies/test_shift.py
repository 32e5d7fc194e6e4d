"""The study of shifts: its parts by hand, and a small run on the committed records where they exist."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from offramp.errors import RecordMismatch
from offramp.records.records import RecordProvenance, Records
from studies.shift.audits import AUDITS, detection, false_alarms
from studies.shift.deciders import Outcome, outcome
from studies.shift.evidence import CASES, EXAMPLES, Judged
from studies.shift.reopening import reopen
from studies.shift.spectra import FILE, Spectra
from studies.shift.study import study

RECORDS = EXAMPLES / "cifar10" / "records"
#: two device exits, four rows of class 0, 0, 1, 1; the first exit says 0, the second the truth
ROWS = Judged(
    np.array([[[1, 0], [1, 0], [1, 0], [1, 0]], [[1, 0], [1, 0], [0, 1], [0, 1]]], np.float32),
    np.array([0, 0, 1, 1]),
    np.zeros((4, 2)),
    np.array([0, 1, 1, 0]),
)
CONFIDENCE = np.array([[0.9, 0.5, 0.9, 0.5], [0.9, 0.9, 0.9, 0.5]])


def test_outcome_by_hand() -> None:
    assert outcome(CONFIDENCE, ROWS, 0.8) == Outcome(decided=0.75, accuracy=0.5, wrong=0.25)
    assert Outcome(0.75, 0.5, 0.25).device_accuracy == pytest.approx(2 / 3)
    nothing = outcome(np.zeros((2, 4)), ROWS, 0.8)
    assert nothing == Outcome(0.0, 0.5, 0.0)
    assert nothing.device_accuracy is None


def test_audits_by_hand() -> None:
    found = {audit.name: audit.of(CONFIDENCE, ROWS, 0.8).tolist() for audit in AUDITS}
    assert found == {
        "wrong": [0, 0, 1],
        "differs from the last exit": [0, 1, 1],
        "accuracy loss, signed": [0, -1, 1],
    }


def test_streams() -> None:
    rng = np.random.default_rng(0)
    clean, shifted = np.repeat([0, 1], [95, 5]).astype(np.int8), np.ones(9, np.int8)
    assert false_alarms(clean, 0.2, 0, 50, 100, rng) == 0.0
    found = detection(clean, shifted, 100, 0.2, 0, 50, 100, rng)
    assert found.found == 1.0
    assert 3 <= found.median_delay <= 20
    assert math.isinf(detection(clean, clean, 100, 0.2, 0, 50, 100, rng).median_delay)


def test_reopening() -> None:
    rng = np.random.default_rng(0)
    confidence, wrong = np.repeat([0.95, 0.6], 500), np.repeat([False, True], 500)
    found = reopen(confidence, wrong, 0.2, 5, rng)
    assert (found.decided, found.broken) == (0.5, 0.0)
    assert reopen(confidence, ~wrong, 0.2, 5, rng).decided == 0.0


def test_spectra_of_unknown_rows_are_refused(tmp_path: Path) -> None:
    come_from = RecordProvenance("c", "f" * 64, "d", "d" * 64, 0, "", "")
    records = Records(
        np.zeros((1, 2, 3), np.float32),
        np.zeros(2, np.int64),
        np.array(["test", "test"]),
        np.array([7, 5]),
        ("final",),
        come_from,
    )
    file = tmp_path / "spectra.npz"
    with pytest.raises(RecordMismatch, match="make them"):
        Spectra(file)
    np.savez(file, **{"test-rows": np.array([5, 6, 7]), "test+none": np.arange(3.0)[:, None]})  # type: ignore[arg-type]  # its stubs take the keyword allow_pickle for an array
    assert Spectra(file).of(records, "none").ravel().tolist() == [2.0, 0.0]
    with pytest.raises(RecordMismatch, match="no blur1"):
        Spectra(file).of(records, "blur1")
    np.savez(file, **{"test-rows": np.array([5, 6]), "test+none": np.zeros((2, 1))})  # type: ignore[arg-type]  # as above
    with pytest.raises(RecordMismatch, match="lacks"):
        Spectra(file).of(records, "none")


@pytest.mark.skipif(not FILE.is_file(), reason="the spectra are not in this checkout")
def test_without_records_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecordMismatch, match=r"no cifar10/records/fp32\.parquet"):
        list(study(tmp_path))


@pytest.mark.skipif(not (RECORDS / "shift").is_dir(), reason="the shift records are not in this checkout")
def test_the_committed_records(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("studies.shift.evidence.CASES", CASES[:1])
    rows = {row.name: row for row in study(streams=200, length=200, repeats=20)}
    assert rows["resnet8 with exits, worst shift, plain: confident and wrong"].ours > 20
    assert rows["resnet8 with exits, worst shift, spectrum guard: confident and wrong"].ours < 5
    claims = [row for row in rows.values() if row.holds is not None]
    assert len(claims) >= 10
    assert all(row.holds for row in claims)
