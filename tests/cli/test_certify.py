"""``offramp certify``: made, checked, used by a plan, and refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.store import open_cascade
from offramp.data.dataset import SPLITS
from offramp.records.records import RecordProvenance, Records
from tests.cli.support import offramp
from tests.support.tiny import make_tiny_cascade


@pytest.fixture
def cascade(tmp_path: Path) -> Path:
    """A cascade whose records were made up: the last exit is the best, the first knows when it is right."""
    path = make_tiny_cascade(tmp_path).path
    manifest = open_cascade(path).manifest
    draw, rows, classes = np.random.default_rng(0), 6000, len(manifest.labels)
    labels = draw.integers(0, classes, rows)
    logits = draw.normal(size=(2, rows, classes))
    logits[:, np.arange(rows), labels] += np.stack([5 * draw.random(rows), np.full(rows, 4.0)])
    provenance = RecordProvenance(
        manifest.name, manifest.fingerprint, "made up", "d" * 64, 0, "tests", "2026-01-01T00:00:00+00:00"
    )
    split = np.array(SPLITS)[1:][np.arange(rows) % 3]
    records = Records(logits.astype(np.float32), labels, split, np.arange(rows), manifest.exit_names, provenance)
    (path / "records").mkdir()
    records.save(path / "records" / "fp32.parquet")
    return path


def test_a_certificate_is_made_printed_and_checked(cascade: Path) -> None:
    made = offramp("certify", cascade, "--accuracy-loss", "0.02")
    assert made.code == 0, made.err
    assert "With probability at least 95 %, at most 2 points of accuracy" in made.out
    assert (cascade / "certificates" / "certificate.json").is_file()
    checked = offramp("certify", cascade, "--check")
    assert checked.code == 0, checked.err
    assert "records give certificate" in checked.out
    body = json.loads(offramp("certify", cascade, "--early-accuracy", "0.9", "--class-loss", "0.2", "--json").out)
    assert "is right at least 90 % of the time" in body["statement"]
    assert "each of class 0 to" in body["statement"]


@pytest.mark.parametrize("kind", ["gain", "logistic", "entropy"])
def test_a_certificate_of_other_gates_is_made_and_checked(cascade: Path, kind: str) -> None:
    made = offramp("certify", cascade, "--accuracy-loss", "0.02", "--gate", kind)
    assert made.code == 0, made.err
    assert f"{kind} gate setting" in made.out
    checked = offramp("certify", cascade, "--check")
    assert checked.code == 0, checked.err
    assert "records give certificate" in checked.out


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--check"], 2, "no such certificate"),
        (["--accuracy-loss", "0.0005"], 9, "takes at least 5,990 calibrate rows"),
        (["--accuracy-loss", "2"], 2, "must lie in (0, 1)"),
        (["--confidence", "1"], 2, "delta"),
        (["--early-accuracy", "0.9", "--early-exits", "2"], 2, "only 1 of the 2 exits are early"),
    ],
)
def test_bad_input_is_one_sentence(cascade: Path, options: list[str], code: int, words: str) -> None:
    called = offramp("certify", cascade, *options)
    assert called.code == code, called.err
    assert words in called.err
    assert len(called.err.strip().splitlines()) == 1
    assert not (cascade / "certificates").exists()


def test_a_certificate_changed_by_hand_is_refused(cascade: Path) -> None:
    offramp("certify", cascade, "--accuracy-loss", "0.02")
    file = cascade / "certificates" / "certificate.json"
    file.write_text(file.read_text().replace('"delta": 0.05', '"delta": 0.01'))
    called = offramp("certify", cascade, "--check")
    assert called.code == 9
    assert "changed after it was made" in called.err
