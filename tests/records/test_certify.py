"""Certificates from records: bad input, round trip, and making them again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp.confidence.certificate import Certificate
from offramp.confidence.risks import AccuracyLoss, EarlyAccuracy
from offramp.errors import CertificateError, ConfigError, NotEnoughSamples, RecordMismatch, SampleError
from offramp.records.certify import certify, check, class_risks
from offramp.records.records import RecordProvenance, Records


def records(rows: int = 3000, classes: int = 4, seed: int = 0) -> Records:
    """Three exits whose logits grow surer; a third of the rows each tune, calibrate and test."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, rows)
    hard = draw.random(rows)
    logits = draw.normal(size=(3, rows, classes))
    for index, strength in enumerate((3.0, 4.0, 5.0)):
        logits[index, np.arange(rows), labels] += strength * (1 - 0.6 * hard)
    return Records(
        logits=logits.astype(np.float32),
        labels=labels,
        split=np.array(["tune", "calibrate", "test"])[np.arange(rows) % 3],
        row=np.arange(rows),
        exit_names=("first", "second", "final"),
        provenance=RecordProvenance("made", "f", "made up", "d", 0, "test", "2026-01-01T00:00:00+00:00"),
    )


def test_a_certificate_is_made_again_from_its_records_and_survives_a_file(tmp_path: Path) -> None:
    certificate = certify(records(), [AccuracyLoss(0.03), EarlyAccuracy(0.8, 2)], 0.1)
    (tmp_path / "certificate.json").write_text(certificate.to_json())
    again = Certificate.from_json((tmp_path / "certificate.json").read_text())
    assert again == certificate
    assert len(again.settings) > 1
    assert again.settings[0] == (None, None)
    check(again, records())


def test_other_records_and_false_claims_are_refused() -> None:
    certificate = certify(records(), [AccuracyLoss(0.03)], 0.1)
    other = replace(records(), provenance=replace(records().provenance, data_sha256="other"))
    with pytest.raises(CertificateError, match="data_sha256"):
        check(certificate, other)
    with pytest.raises(CertificateError, match="does not follow"):
        check(replace(certificate, settings=(*certificate.settings, (0.0, 0.0))), records())


def test_losses_against_another_variant_are_paired_by_row() -> None:
    full = records()
    noise = np.random.default_rng(1).normal(0, 0.2, full.logits.shape).astype(np.float32)
    small = replace(full, logits=full.logits + noise, provenance=replace(full.provenance, variant="int8:1"))
    shuffled = small.take(np.random.default_rng(2).permutation(len(small)))
    made = certify(shuffled, [AccuracyLoss(0.05)], 0.1, reference=full)
    assert made.reference == "fp32"
    assert "of fp32 by int8:1" in made.statement()
    assert Certificate.from_json(made.to_json()) == made
    check(made, shuffled, full)
    with pytest.raises(CertificateError, match="counts losses against fp32, not against its own last exit"):
        check(made, shuffled)
    with pytest.raises(RecordMismatch, match="lack rows"):
        certify(small, [AccuracyLoss(0.05)], 0.1, reference=full.take(np.arange(100)))


def test_a_variant_that_loses_too_much_is_not_certified() -> None:
    full = records()
    worse = full.logits + np.random.default_rng(1).normal(0, 3, full.logits.shape).astype(np.float32)
    bad = replace(full, logits=worse, provenance=replace(full.provenance, variant="int8:1"))
    with pytest.raises(NotEnoughSamples):
        certify(bad, [AccuracyLoss(0.02)], 0.1, reference=full)


@pytest.mark.parametrize("text", ["", "{}", '{"certificate_id": "x", "schema_version": 1}', "[1]"])
def test_damaged_files_are_refused(text: str) -> None:
    with pytest.raises(CertificateError, match="not a certificate"):
        Certificate.from_json(text)


def test_a_changed_file_is_refused() -> None:
    text = certify(records(), [AccuracyLoss(0.03)], 0.1).to_json().replace('"delta": 0.1', '"delta": 0.01')
    with pytest.raises(CertificateError, match="changed after it was made"):
        Certificate.from_json(text)


def test_too_few_rows_say_how_many_are_needed() -> None:
    with pytest.raises(NotEnoughSamples, match=r"at least 2,995 calibrate rows, but there are 1,000"):
        certify(records(), [AccuracyLoss(0.001)], 0.05)


def test_rows_that_choose_cannot_certify() -> None:
    whole = records()
    with pytest.raises(CertificateError, match=r"1000 rows would both choose and certify \(rows 1, 4, 7"):
        certify(whole, [AccuracyLoss(0.03)], 0.1, tune=whole.on("calibrate"))


def test_an_absent_class_is_named() -> None:
    whole = records()
    without = whole.take(np.flatnonzero((whole.labels != 2) | (whole.split != "calibrate")))
    with pytest.raises(NotEnoughSamples, match="class 2"):
        class_risks(without, 0.1)
    with pytest.raises(NotEnoughSamples, match="of class 2, but there are 0"):
        certify(without, [AccuracyLoss(0.1, group="class 2")], 0.1)


def test_nan_logits_are_refused() -> None:
    whole = records()
    logits = whole.logits.copy()
    logits[1, 7] = np.nan
    with pytest.raises(SampleError, match="row 7 hold NaN"):
        certify(replace(whole, logits=logits), [AccuracyLoss(0.03)], 0.1)


def test_an_impossible_target_says_the_best_there_is() -> None:
    with pytest.raises(NotEnoughSamples, match=r"highest accuracy of the first exits they can show is 0\.9\d+"):
        certify(records(), [EarlyAccuracy(0.9969, 2)], 0.05)


def test_a_wrong_number_of_temperatures_is_refused() -> None:
    with pytest.raises(ConfigError, match="2 temperatures for 3 exits"):
        certify(records(), [AccuracyLoss(0.03)], 0.1, temperatures=(1.0, 1.0))


def test_each_class_can_be_certified() -> None:
    certificate = certify(records(9000), class_risks(records(9000), 0.06), 0.1)
    assert "each of class 0 to class 3" in certificate.statement()
