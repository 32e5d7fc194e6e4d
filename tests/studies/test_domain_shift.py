"""The study of domain shift: its generator, its accounting, and a short run on the committed streams."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp.data.dataset import Dataset
from offramp.data.delimited import text_column
from offramp.errors import DataError, RecordMismatch
from offramp.records.records import load_records
from studies.domain_shift.evidence import Streams, load_streams
from studies.domain_shift.perturb import PRODUCTS, SHIFTS, ShiftedText, perturb
from studies.domain_shift.record import FOLDER
from studies.domain_shift.rules import LAYER, LEARNERS, OFFLOAD, arm_rewards, fit_gated, learn
from studies.domain_shift.study import study


@pytest.fixture(scope="module")
def streams() -> Streams:
    return load_streams()


def make_data() -> Dataset:
    texts = ["a good movie", "the plot is thin , the acting wooden", ""]
    return Dataset("made-up", (text_column(texts),), np.array([1, 0, 0]), ("bad", "good"), np.zeros(3, bool))


def test_a_row_reads_the_same_in_every_batch() -> None:
    shifted = ShiftedText.of(make_data(), "products-typos")
    (whole,) = shifted.rows(np.arange(3))
    (part,) = shifted.rows(np.array([1]))
    assert whole[1] == part[0]
    assert whole[2] == ""
    assert shifted.sha256 == make_data().sha256
    assert shifted.name == "made-up+products-typos"


def test_words_of_films_become_words_of_gadgets() -> None:
    (column,) = ShiftedText.of(make_data(), "products").rows(np.arange(2))
    assert column.tolist() == ["a good phone", "the menu is thin , the wiring wooden"]
    assert not set(PRODUCTS) & {"good", "bad", "thin"}


def test_typos_change_about_three_of_ten_long_words_and_no_first_letter() -> None:
    words = "wonderful terrible pleasant boring exciting " * 200
    changed = perturb(words, "typos", np.random.default_rng(0)).split()
    pairs = list(zip(words.split(), changed, strict=True))
    assert 0.25 < np.mean([one != two for one, two in pairs]) < 0.32  # a swap of equal letters changes nothing
    assert all(one[0] == two[0] for one, two in pairs)
    assert perturb("a an the it", "typos", np.random.default_rng(0)) == "a an the it"


def test_an_unknown_shift_is_refused() -> None:
    with pytest.raises(DataError, match="known are products, typos, products-typos"):
        perturb("a", "french", np.random.default_rng(0))


@pytest.mark.parametrize("name", LEARNERS)
def test_costs_are_layers_offloads_and_audits(streams: Streams, name: str) -> None:
    stream = streams.stream("typos")
    run = learn(name, streams, stream, np.arange(300), 0.85)
    layers = np.array([LAYER * (index + 1) for index in range(6)])
    possible = {*layers, *(0.8 * LAYER * np.arange(6) + LAYER)}
    possible |= {cost + OFFLOAD for cost in possible}
    assert all(min(abs(cost - each) for each in possible) < 1e-9 for cost in run.cost)
    assert len(run.arm) == 300


def test_gates_lose_little_on_the_rows_they_were_fitted_on(streams: Streams) -> None:
    gated = fit_gated(streams, rate=0.0)
    run = gated.run(streams.tune, np.arange(len(streams.tune)))
    assert streams.tune.correct[-1].mean() - run.right.mean() <= 0.01 + 1e-9
    assert run.cost.mean() < 0.5 * 6 * LAYER


def test_true_rewards_of_the_splits(streams: Streams) -> None:
    stream = streams.stream("clean")
    rewards = arm_rewards(stream, 0.85)
    assert rewards[-1] == pytest.approx(stream.confidence[-1].mean() - 6 * LAYER, abs=1e-5)
    never = arm_rewards(stream, 1.1)
    assert never[0] == pytest.approx(stream.confidence[-1].mean() - OFFLOAD - LAYER, abs=1e-5)


def test_streams_of_other_builds_or_rows_are_refused(tmp_path: Path) -> None:
    for file in FOLDER.glob("*.parquet"):
        shutil.copy(file, tmp_path / file.name)
    typos = load_records(tmp_path / "typos.parquet")
    other = replace(typos, provenance=replace(typos.provenance, cascade_fingerprint="0" * 64))
    other.save(tmp_path / "typos.parquet", "float16")
    with pytest.raises(RecordMismatch, match="made with another build"):
        load_streams(tmp_path)
    typos.take(np.arange(10)).save(tmp_path / "typos.parquet", "float16")
    with pytest.raises(RecordMismatch, match="other rows than the clean stream"):
        load_streams(tmp_path)


def test_a_short_run() -> None:
    rows = {row.name: row for row in study(shuffles=2, length=300)}
    for name in ("clean", *SHIFTS):
        assert rows[f"{name}, SplitEE: cost cut"].published == 50.0
        assert rows[f"{name}, ours on the front"].unit == "rules"
    assert rows["typos, exit 6: accuracy"].ours < rows["clean, exit 6: accuracy"].ours
