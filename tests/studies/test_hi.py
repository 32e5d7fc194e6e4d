"""The study of hierarchical inference: made-up pairs, generated bearings, and a few splits on committed records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp.errors import RecordMismatch
from offramp.records.records import Records
from studies.cascades.superclasses import SUPERCLASS
from studies.hi import pairs as pairs_of_study
from studies.hi.batches import batches
from studies.hi.bearings import bearings
from studies.hi.filters import filters
from studies.hi.pairs import Pair, PairSpec, pairs
from studies.hi.rules import PRICES, RULES, numbers_of
from studies.hi.study import study
from studies.hi.vibration import CONDITIONS, ORDERS, generate
from tests.studies.test_gain import FROM, make_records

PAIR = (PairSpec("made up", "small", "large"),)


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(pairs_of_study, "EXAMPLES", tmp_path)
    make_records(1, 1.5, FROM).save(tmp_path / "small" / "records" / "fp32.parquet")
    make_records(1, 4.0, replace(FROM, cascade="large")).save(tmp_path / "large" / "records" / "fp32.parquet")
    return tmp_path


def test_numbers_are_ordered_as_they_must_be(examples: Path) -> None:
    (pair,) = pairs(PAIR)
    assert isinstance(pair, Pair)
    order = np.random.default_rng(0).permutation(len(pair))
    found = numbers_of(pair, order[:200], order[200:])
    assert tuple(found) == RULES
    for rule, each in found.items():
        assert (found["oracle"].cost <= each.cost + 1e-12).all()
        np.testing.assert_allclose(each.cost, PRICES * each.offloaded + 1.0 - each.accuracy)
        if rule in ("never", "always", "theta*"):
            assert (found["hindsight"].cost <= each.cost + 1e-12).all()


def test_the_study_says_what_holds_and_what_is_left_out(examples: Path) -> None:
    rows = {row.name: row for row in study(3, (*PAIR, PairSpec("other", "small", "huge")), others=False)}
    assert rows["pairs left out"].how == "other: no records of huge yet"
    assert rows["made up, price 0.05: cost, gain"].ours < 0.8 * rows["made up, price 0.05: cost, never"].ours
    assert rows["gain at or below theta*"].unit == "of 7"
    assert rows["made up, threshold 0.607: offloaded"].published is None
    closed = rows["made up, the least sure 35.5 % offloaded: gap closed"].ours
    assert 35.5 < closed <= 100


def test_records_of_other_rows_are_refused(examples: Path) -> None:
    make_records(1, 4.0, replace(FROM, data_sha256="1" * 64)).save(examples / "large" / "records" / "fp32.parquet")
    with pytest.raises(RecordMismatch, match="not of the same rows"):
        list(study(2, PAIR, others=False))
    with pytest.raises(RecordMismatch, match="no records of any pair"):
        list(study(2, (PairSpec("other", "small", "huge"),), others=False))


def test_superclasses_add_up_the_odds_of_their_classes(examples: Path) -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (2, 300, 100)).astype(np.float32)
    split = np.array(["tune", "calibrate", "test"])[np.arange(300) % 3]
    labels = np.arange(300) % 100
    Records(logits, labels, split, np.arange(300), ("a", "b"), FROM).save(
        examples / "pair" / "records" / "fp32.parquet"
    )
    (pair,) = pairs((PairSpec("coarse", "pair", "pair", coarse=True),))
    assert isinstance(pair, Pair)
    odds = np.exp(logits[0].astype(np.float64))
    of_groups = np.stack([odds[:, group == SUPERCLASS].sum(1) for group in range(20)], 1)
    pool = split != "tune"
    np.testing.assert_array_equal(pair.right_here, (of_groups.argmax(1) == SUPERCLASS[labels])[pool])
    np.testing.assert_allclose(pair.raw, (of_groups.max(1) / of_groups.sum(1))[pool], rtol=1e-5)


def test_faults_show_where_their_geometry_says() -> None:
    windows = generate(120, faulty=0.7, seed=1)
    strong = windows.average > 0.1
    for label, _ in enumerate(ORDERS, 1):
        here = (windows.condition == label) & strong
        lines = windows.features[here].mean(0)[:9].reshape(3, 3).mean(1)
        assert here.any()
        assert lines.argmax() == label - 1
    assert len(CONDITIONS) == 1 + len(ORDERS)
    normal = windows.average[windows.condition == 0]
    assert np.median(normal) < np.median(windows.average[windows.condition > 0])


def test_bearings_send_few_windows() -> None:
    rows = {row.name: row for row in bearings(400)}
    assert rows["bearings, price 0.2: offloaded"].ours < 50
    assert rows["bearings, price 0.2: cost, oracle"].ours <= rows["bearings, price 0.2: cost, theta*"].ours


def test_larger_batches_are_sent_less_often(examples: Path) -> None:
    (pair,) = pairs(PAIR)
    assert isinstance(pair, Pair)
    rows = list(batches(pair))
    assert (np.diff([row.ours for row in rows[:4]]) < 0).all()
    assert rows[0].ours == pytest.approx(0.39 * pair.test.sum(), abs=1)


def test_filters_need_records(tmp_path: Path) -> None:
    assert not list(filters(tmp_path / "none.parquet"))


def test_the_committed_records_give_rows() -> None:
    specs = tuple(spec for spec in pairs_of_study.PAIRS if spec.near == "pair-exact")
    rows = {row.name: row for row in study(2, specs, others=False)}
    where = "CIFAR-10 exact, published weights, price 0.1: cost"
    assert rows[f"{where}, oracle"].ours < rows[f"{where}, hindsight"].ours <= rows[f"{where}, theta*"].ours
