"""The study of online policies: its quick replay against the replay, its streams, its claims on a few shuffles."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp.errors import RecordMismatch
from offramp.policies.base import FeedbackKind, Policy
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.records.records import Records
from studies.online_hi.growth import growth, regrets
from studies.online_hi.quick import quick_replay
from studies.online_hi.references import plan_thresholds, reference_costs
from studies.online_hi.runs import KINDS, OURS, PRICES, Shuffles, run_problem
from studies.online_hi.streams import CASES, Case, load_case
from studies.online_hi.study import study
from tests.policies.instances import calibrated
from tests.support.instances import make_records

FEW = Shuffles(2, 2)
PLAIN = Case("made up", "near", "far")
SHIFTED = replace(PLAIN, name="made up, moved", shift="noise")


def small_records(seed: int, rows: int) -> Records:
    records = make_records(np.random.default_rng(seed), rows, 1, classes=2)
    return replace(records, split=np.array(["tune", "calibrate", "test", "test"])[np.arange(rows) % 4])


@pytest.fixture
def examples(tmp_path: Path) -> Path:
    near = small_records(0, 1200)
    far = replace(near, logits=near.logits + 2 * np.eye(2, dtype=np.float32)[near.labels])
    for name, records in (("near", near), ("far", far)):
        records.save(tmp_path / name / "records" / "fp32.parquet")
        noise = np.random.default_rng(5).normal(0, 2, records.logits.shape).astype(np.float32)
        moved = replace(records.on("test"), logits=(records.logits + noise)[:, records.split == "test"])
        moved.save(tmp_path / name / "records" / "shift" / "noise.parquet")
    return tmp_path


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_quick_replay_decides_as_the_replay(kind: type[Policy]) -> None:
    stream = calibrated(np.random.default_rng(0), 400, remote=0.9)
    setting = Setting((0.8,), price=0.2, horizon=400, rows=stream.labelled)
    setting = replace(setting, budget=0.3) if kind.name == "lyapunov-exp4" else setting
    share = 0.1 if kind.feedback is FeedbackKind.AUDITS else 0.0
    slow = replay(kind.start(setting, 3), stream, audit_share=share, audit_seed=4, label_share=0.2)
    quick = quick_replay(kind.start(setting, 3), stream, share, 4, 0.2)
    np.testing.assert_array_equal(quick.on, slow.exit > 0)
    np.testing.assert_array_equal(quick.audited, slow.audited)
    np.testing.assert_array_equal(quick.said[~quick.on], slow.label[~quick.on])


def test_streams_shift_in_the_middle_and_nowhere_else(examples: Path) -> None:
    plain, moved = load_case(PLAIN, examples), load_case(SHIFTED, examples)
    assert (plain.rows, moved.rows, moved.shifted) == (600, 600, 600)
    order = moved.orders(3)
    assert ((order >= 600) == (np.arange(600) // 200 == 1)).all()
    assert all(len(set(row.tolist())) == 600 for row in plain.orders(3))
    np.testing.assert_array_equal(order, moved.orders(3))


def test_references_are_ordered_as_they_must_be(examples: Path) -> None:
    problem = load_case(PLAIN, examples)
    plans = plan_thresholds(problem, PRICES)
    costs, budgets = reference_costs(problem, PRICES, plans, problem.orders(2))
    means = {name: each.mean(-1) for name, each in costs.items()}
    for name in means:
        assert (means["oracle"] <= means[name] + 1e-12).all()
        if name not in ("oracle", "bins"):
            assert (means["hindsight"] <= means[name] + 1e-12).all()
    assert sorted(budgets, reverse=True) == budgets


def test_costs_of_policies_are_those_of_the_replay(examples: Path) -> None:
    problem = load_case(PLAIN, examples)
    published, charged = run_problem(problem, shuffles=FEW)
    stream = problem.pool.take(problem.orders(1)[0])
    hil_n = next(kind for kind in KINDS if kind.name == "hil-n")
    found = replay(hil_n.start(Setting((0.5,), price=0.2, horizon=600), 0), stream)
    for costs, truth in ((published, stream.predicted[1]), (charged, stream.truth)):
        paid = np.where(found.exit > 0, 0.2, 0.0) + (found.label != truth)
        assert costs.means["hil-n"][2, 0] == pytest.approx(paid.mean())
    assert charged.means[OURS].shape == (len(PRICES), 2)
    assert charged.means["hedge-hi"].shape == (len(PRICES), 2)
    h2t2 = next(kind for kind in KINDS if kind.name == "h2t2")
    said = replay(h2t2.start(Setting((0.5,), price=0.2, horizon=600), 0), stream)
    paid = np.where(said.exit > 0, 0.2, 0.0) + (said.label != stream.truth)
    assert charged.means["h2t2"][2, 0] == pytest.approx(paid.mean())


def test_regret_is_that_of_a_policy_started_for_each_horizon(examples: Path) -> None:
    problem = load_case(PLAIN, examples)
    pool = problem.published().pool
    found = regrets(pool, (60, 300), 3, seed=1)
    rows = np.random.default_rng([1, 300]).integers(0, len(pool), (3, 300))
    hil_f = next(kind for kind in KINDS if kind.name == "hil-f")
    stream = pool.take(rows[2])
    asked = replay(hil_f.start(Setting((0.5,), price=0.2, horizon=300), 2), stream)
    paid = (0.2 * (asked.exit > 0) + ~asked.correct).sum()
    wrong = ~stream.right
    cuts = np.append(stream.confidence[0], np.inf)[:, None]
    least = np.where(stream.confidence[0] < cuts, 0.2 + wrong[1], wrong[0]).sum(1).min()
    assert found[hil_f, "threshold"][1, 2, 2] == pytest.approx(paid - least)
    assert (found[hil_f, "threshold"] >= found[hil_f, "its grid"] - 1e-9).all()
    titles = [row.name for row in growth(problem, (60, 300), 3)]
    assert any("hil-n, regret against threshold grows" in title for title in titles)


def test_the_study_on_made_up_records(examples: Path) -> None:
    rows = {row.name: row for row in study(examples, (PLAIN,), (SHIFTED,), FEW, Shuffles(2, 2), (100, 200))}
    assert "remote errors charged, made up, price 0.2: guarded-gain" in rows
    assert rows["remote errors charged: ours best or within 1 %"].unit == "of 5"
    assert rows["shift in the middle: ours within its margin"].unit == "of 5"
    assert rows["shift in the middle: ours, 2 % labelled within its margin"].unit == "of 5"
    assert "cases left out" not in rows


def test_what_is_missing_is_said(examples: Path) -> None:
    absent = Case("not there", "near", "nowhere")
    left_out = next(
        r for r in study(examples, (PLAIN, absent), (), FEW, horizons=(50, 100)) if r.name == "cases left out"
    )
    assert left_out.ours == 1
    with pytest.raises(RecordMismatch, match="no records of any case"):
        list(study(examples, (absent,), (), FEW))
    small_records(0, 800).save(examples / "far" / "records" / "fp32.parquet")
    with pytest.raises(RecordMismatch, match="not of the same rows"):
        load_case(PLAIN, examples)


def test_committed_records_are_there() -> None:
    assert load_case(CASES[2]).rows > 800
