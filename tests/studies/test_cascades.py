"""The study of all cascades: on made-up records always, on the committed ones where they exist."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp.data.registry import data_folder
from offramp.errors import RecordMismatch
from offramp.records.records import RecordProvenance, Records
from studies.cascades import study as cascades
from studies.cascades.superclasses import SUPERCLASS
from studies.cascades.targets import TARGETS, Target

FROM = RecordProvenance("balexnet", "0" * 64, "cifar10-jpeg", "0" * 64, 0, "tests", "2026-01-01T00:00:00Z")


def make_records(right: float, classes: int, provenance: RecordProvenance) -> Records:
    """200 test rows, a share of them right at both exits, and 50 tune rows that are all wrong."""
    labels = np.arange(250) % classes
    answers = np.where(np.arange(250) < 200 * right, labels, (labels + 1) % classes)
    answers[200:] = (labels[200:] + 1) % classes
    logits = np.eye(classes, dtype=np.float32)[answers][None].repeat(2, 0)
    split = np.array(["test"] * 200 + ["tune"] * 50)
    return Records(logits, labels, split, np.arange(250), ("early", "final"), provenance)


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cascades, "EXAMPLES", tmp_path)
    return tmp_path


def test_one_row_per_exit_with_what_was_required(examples: Path) -> None:
    make_records(0.8, 10, FROM).save(examples / "balexnet" / "records" / "fp32.parquet")
    early, final = cascades.study()
    assert (early.name, early.ours, early.published, early.holds) == ("balexnet fp32, exit early", 80.0, None, None)
    assert (final.published, final.holds) == (77.0, True)
    assert final.how == (
        "replayed on the 200 test rows of CIFAR-10 (JPEG); 95 % interval 73.9 to 85.0 %; required: at least 77 %"
    )


def test_a_target_out_of_reach_does_not_hold(examples: Path) -> None:
    make_records(0.5, 10, FROM).save(examples / "balexnet" / "records" / "fp32.parquet")
    assert [row.holds for row in cascades.study()] == [None, False]


def test_cifar100_is_scored_on_superclasses_too(examples: Path) -> None:
    come_from = replace(FROM, cascade="mine", data="cifar100")
    make_records(0.5, 100, come_from).save(examples / "mine" / "records" / "fp32.parquet")
    rows = list(cascades.study())
    assert [row.name.endswith("superclasses") for row in rows] == [False, True, False, True]
    assert rows[1].ours >= rows[0].ours == 50.0


def test_without_records_it_says_so(examples: Path) -> None:
    with pytest.raises(RecordMismatch, match="record a cascade first"):
        list(cascades.study())


def test_published_figures_are_met_from_both_sides() -> None:
    target = Target(88.0, "published")
    assert [target.held(accuracy) for accuracy in (87.6, 87.8, 88.2, 88.4)] == [False, True, True, False]


def test_each_superclass_has_five_classes() -> None:
    assert np.bincount(SUPERCLASS).tolist() == [5] * 20


def test_superclasses_are_those_of_the_data() -> None:
    folder = data_folder()
    if folder is None or not (folder / "cifar100_test_webp.npz").is_file():
        pytest.skip("needs OFFRAMP_DATA with CIFAR-100")
    with np.load(folder / "cifar100_test_webp.npz") as arrays:
        np.testing.assert_array_equal(SUPERCLASS[arrays["fine_labels"]], arrays["coarse_labels"])


def test_the_committed_records_give_rows() -> None:
    rows = {row.name: row for row in cascades.study()}
    assert {name for name, _, _ in TARGETS} >= {"mlperf-resnet8", "akamaster-resnet56"}
    for name in ("mlperf-resnet8 fp32, exit final", "mlperf-resnet8 int8:1, exit final"):
        assert rows[name].holds
    assert all(row.holds for row in rows.values() if "published:" in row.how)
