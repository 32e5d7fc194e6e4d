"""The study of low-bit edges, on records made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.manifest import (
    Calibration,
    ExitSpec,
    LowBitSpec,
    Manifest,
    Provenance,
    SegmentSpec,
    TensorSpec,
)
from offramp.errors import RecordMismatch
from offramp.profiles.energy import energy_model
from offramp.records.records import RecordProvenance, Records
from studies.hybrid.cases import RESNET20_MACS, CaseSpec, load_case
from studies.hybrid.study import study

SPEC = CaseSpec("hybrid", "twin", 10_000, 0.65, 5.5, 0.75, 7.0)
IMAGE = (TensorSpec(name="input", dtype="uint8", shape=(None, 4)),)
HANDED = (TensorSpec(name="cut1", dtype="float32", shape=(None, 4, 8, 8)),)


def manifest() -> Manifest:
    low = LowBitSpec(weight_bits=1, activation_bits=1, macs=7000, weights=800, hand_over_bits=1)
    common = {"sha256": "0" * 64, "file_bytes": 1000}
    edge = SegmentSpec(
        file="a.onnx", inputs=IMAGE, outputs=HANDED, exit=ExitSpec(name="early", module="a"), flops=2 * 7200,
        low_bit=low, **common,
    )  # fmt: skip
    cloud = SegmentSpec(
        file="b.onnx", inputs=HANDED, outputs=(), exit=ExitSpec(name="final", module="output"), flops=2 * 3000, **common
    )
    return Manifest(
        name="hybrid",
        labels=("a", "b", "c", "d"),
        inputs=IMAGE,
        segments=(edge, cloud),
        calibration=Calibration(temperatures=(1.0, 1.0)),
        provenance=Provenance(created_utc="2026-01-01T00:00:00Z", command="tests"),
    )


def make_records(exits: int, strength: float, fingerprint: str, rows: int = 3000) -> Records:
    rng = np.random.default_rng(exits)
    labels = np.arange(rows) % 4
    logits = (rng.normal(0, 1, (exits, rows, 4)) + strength * np.eye(4)[labels]).astype(np.float32)
    split = np.array(["tune", "calibrate", "test"])[np.arange(rows) % 3]
    source = RecordProvenance("hybrid", fingerprint, "made-up", "0" * 64, 0, "tests", "2026-01-01T00:00:00Z")
    return Records(logits, labels, split, np.arange(rows), tuple(f"exit{i}" for i in range(exits)), source)


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    made = manifest()
    make_records(2, 4.0, made.fingerprint).save(tmp_path / "hybrid" / "records" / "fp32.parquet")
    make_records(1, 4.0, "0" * 64).save(tmp_path / "twin" / "records" / "fp32.parquet")
    (tmp_path / "hybrid" / "cascade.json").write_text(made.to_json())
    return tmp_path


def test_the_study_has_every_part(examples: Path) -> None:
    rows = {row.name: row for row in study(examples, (SPEC, replace(SPEC, name="missing")))}
    assert rows["cases left out"].ours == 1
    for rule in ("entropy", "calibrated confidence", "gain"):
        assert rows[f"hybrid, {rule} at 65 %: end at the edge"].ours == pytest.approx(67, abs=4)
        assert abs(rows[f"hybrid, {rule} at 65 %: accuracy lost"].ours) < 3
    assert rows["hybrid, certified loss of 2 points: accuracy lost"].holds
    sent = [rows[f"hybrid, wifi: hybrid, {form}"].ours for form in ("fp32", "uint8", "true bits")]
    assert sent == sorted(sent, reverse=True)


def test_energies_are_those_of_the_formula(examples: Path) -> None:
    case = load_case(SPEC, examples)
    assert case is not None
    chip = energy_model("horowitz-45nm")
    edge = 200 * 4.6 + 7000 * (3.1 / 32 + 0.1)
    np.testing.assert_allclose(case.compute_energy_j(chip), [edge * 1e-12, (edge + 3000 * 4.6) * 1e-12])
    assert case.payload_bytes() == {"fp32": 1024.0, "uint8": 264.0, "true bits": 2 + 8 + 32}


def test_the_published_ratio_follows_from_the_model() -> None:
    """With 65 % at the edge and 78.9 % of ResNet-32 binary the formula gives what the paper claims."""
    macs, binary = 1.0, (3.1 / 32 + 0.1) / 4.6
    assert macs / (0.789 * binary + 0.35 * 0.211) == pytest.approx(9.3, abs=0.1)  # every exit there, stem left out
    assert macs / (0.531 * binary + 0.35 * 0.469) == pytest.approx(5.3, abs=0.1)


def test_the_macs_of_the_twin() -> None:
    stack = [(16, 16, 1024)] * 6, [(16, 32, 256), *[(32, 32, 256)] * 5], [(32, 64, 64), *[(64, 64, 64)] * 5]
    convs = sum(9 * a * b * n for layers in stack for a, b, n in layers)
    assert 3 * 16 * 9 * 1024 + convs + 16 * 32 * 256 + 32 * 64 * 64 + 640 == RESNET20_MACS


def test_records_of_another_build_are_refused(examples: Path) -> None:
    make_records(2, 4.0, "1" * 64).save(examples / "hybrid" / "records" / "fp32.parquet")
    with pytest.raises(RecordMismatch):
        load_case(SPEC, examples)
    made = manifest()
    make_records(2, 4.0, made.fingerprint, rows=300).save(examples / "hybrid" / "records" / "fp32.parquet")
    with pytest.raises(RecordMismatch, match="not tested on the same rows"):
        load_case(SPEC, examples)
