"""The study of gain: its arithmetic by brute force, its problems, and a few splits on committed records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import RecordMismatch
from offramp.records.records import RecordProvenance, Records
from studies.gain import problems as problems_of_study
from studies.gain.problems import Problem, ProblemSpec, problems
from studies.gain.rules import PRICES, RULES, best_thresholds, costs_of_rules
from studies.gain.study import study

FROM = RecordProvenance("small", "0" * 64, "made-up", "0" * 64, 0, "tests", "2026-01-01T00:00:00Z")
PAIR = (ProblemSpec("small", "large", (0,)),)


def make_records(exits: int, strength: float, provenance: RecordProvenance, rows: int = 900) -> Records:
    rng = np.random.default_rng(exits)
    labels = np.arange(rows) % 4
    signal = strength * np.eye(4)[labels]
    logits = (rng.normal(0, 1, (exits, rows, 4)) + signal).astype(np.float32)
    split = np.array(["tune", "calibrate", "test"])[np.arange(rows) % 3]
    names = tuple(f"exit{index}" for index in range(exits))
    return Records(logits, labels, split, np.arange(rows), names, provenance)


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(problems_of_study, "EXAMPLES", tmp_path)
    make_records(1, 1.5, FROM).save(tmp_path / "small" / "records" / "fp32.parquet")
    make_records(1, 4.0, replace(FROM, cascade="large")).save(tmp_path / "large" / "records" / "fp32.parquet")
    return tmp_path


@given(
    st.lists(st.tuples(st.sampled_from([0.1, 0.2, 0.3, 0.4]), st.booleans(), st.booleans()), min_size=1, max_size=12)
)
def test_best_thresholds_against_all_thresholds(rows: list[tuple[float, bool, bool]]) -> None:
    score, here, later = (np.array(column) for column in zip(*rows, strict=True))

    def cost(threshold: float, price: float) -> float:
        return float(np.where(score < threshold, price + later, here).mean())

    for threshold, price in zip(best_thresholds(score, here, later), PRICES.tolist(), strict=True):
        least = min(cost(t, price) for t in (0.0, 0.15, 0.25, 0.35, 1.0))
        assert cost(threshold, price) == pytest.approx(least)


def test_costs_are_ordered_as_they_must_be(examples: Path) -> None:
    (problem,) = problems(PAIR)
    assert isinstance(problem, Problem)
    assert len(problem) == 600
    order = np.random.default_rng(0).permutation(600)
    costs = {rule: each.mean(1) for rule, each in costs_of_rules(problem, order[:200], order[200:]).items()}
    assert list(costs) == list(RULES)
    for rule in RULES:
        assert (costs["oracle"] <= costs[rule] + 1e-12).all()
    for rule in ("never", "always", "threshold"):
        assert (costs["hindsight"] <= costs[rule] + 1e-12).all()
    np.testing.assert_allclose(costs["always"] - PRICES, 1 - problem.right_later[order[200:]].mean())


def test_a_clearly_better_later_exit_is_used(examples: Path) -> None:
    rows = {row.name: row for row in study(3, PAIR)}
    name = "small exit0 to large, price 0.05"
    assert rows[f"{name}: gain"].ours < 0.8 * rows[f"{name}: never"].ours
    assert rows["gain at or below threshold"].unit == "of 8"
    assert "300 to fit, 300 to evaluate" in rows[f"{name}: gain"].how


def test_what_is_not_recorded_yet_is_left_out_and_said(examples: Path) -> None:
    specs = (*PAIR, ProblemSpec("small", "huge", (0,)))
    left_out = next(row for row in study(2, specs) if row.name == "problems left out")
    assert (left_out.ours, left_out.how) == (1, "small to huge: no records of huge yet")


def test_without_any_records_it_refuses(examples: Path) -> None:
    with pytest.raises(RecordMismatch, match="no records of any problem"):
        list(study(2, (ProblemSpec("small", "huge", (0,)),)))


def test_records_of_other_rows_are_refused(examples: Path) -> None:
    other = make_records(1, 4.0, replace(FROM, data_sha256="1" * 64))
    other.save(examples / "large" / "records" / "fp32.parquet")
    with pytest.raises(RecordMismatch, match="not of the same rows"):
        list(study(2, PAIR))


def test_the_committed_records_give_rows() -> None:
    rows = {row.name: row for row in study(2, (ProblemSpec("mrpc", "mrpc", (0,)),))}
    name = "minilm-mrpc layer1 to final, price 0.1"
    assert rows[f"{name}: oracle"].ours < rows[f"{name}: hindsight"].ours <= rows[f"{name}: threshold"].ours
