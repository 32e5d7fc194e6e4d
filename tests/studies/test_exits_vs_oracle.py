"""The study of exits against the oracle: its rules on small cascades, and the committed records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from offramp.errors import RecordMismatch
from offramp.records.records import RecordProvenance, Records
from studies.exits_vs_oracle import cases as cases_module
from studies.exits_vs_oracle import study as study_module
from studies.exits_vs_oracle.cases import Case, load_cases
from studies.exits_vs_oracle.rules import (
    best_exit,
    gain_exits,
    oracle_exits,
    shared_threshold,
    threshold_exits,
    value,
)
from studies.exits_vs_oracle.study import study

FROM = RecordProvenance("made-up", "0" * 64, "made-up", "0" * 64, 0, "tests", "2026-01-01T00:00:00Z")


def make_records(exits: int, rows: int = 900) -> Records:
    rng = np.random.default_rng(exits)
    labels = np.arange(rows) % 3
    strength = np.linspace(1.0, 4.0, exits)[:, None, None]
    logits = (rng.normal(0, 1, (exits, rows, 3)) + strength * np.eye(3)[labels]).astype(np.float32)
    split = np.array(["tune", "calibrate", "test"])[np.arange(rows) % 3]
    names = tuple(f"exit{index}" for index in range(exits))
    return Records(logits, labels, split, np.arange(rows), names, replace(FROM, exit_flops=tuple(range(1, exits + 1))))


@pytest.fixture
def examples(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(study_module, "EXAMPLES", tmp_path)
    make_records(3).save(tmp_path / "small" / "records" / "fp32.parquet")
    make_records(1).save(tmp_path / "one" / "records" / "fp32.parquet")
    return tmp_path


@pytest.fixture
def case(examples: Path) -> Case:
    (found,) = load_cases(examples)
    assert isinstance(found, Case)
    return found


def test_no_rule_is_above_the_oracle(case: Case) -> None:
    stream = case.stream(case.test)
    costs, rows = 0.1 * case.depth, np.arange(len(stream))
    worth = value(stream.right, costs)
    best = worth[oracle_exits(stream, costs), rows]
    for exits in (gain_exits(case, 0.1), threshold_exits(stream, 0.8), np.full(len(stream), best_exit(stream, costs))):
        assert (worth[exits, rows] <= best).all()


def test_the_shared_threshold_is_the_best_of_many(case: Case) -> None:
    stream, costs = case.stream(case.tune), 0.1 * case.depth
    worth, rows = value(stream.right, costs), np.arange(len(stream))
    found = worth[threshold_exits(stream, shared_threshold(stream, costs)), rows].mean()
    for threshold in np.linspace(0.35, 1, 14):
        assert worth[threshold_exits(stream, threshold), rows].mean() <= found + 0.002


def test_gain_gates_go_nowhere_where_depth_is_dear_and_everywhere_where_it_is_free(case: Case) -> None:
    assert (gain_exits(case, 5.0) == 0).all()
    assert (gain_exits(case, 0.0) > 0).mean() > 0.5


def test_rows_of_the_study(examples: Path) -> None:
    rows = {row.name: row for row in study(1)}
    assert rows["made-up, oracle: accuracy"].ours >= rows["made-up, last exit: accuracy"].ours
    assert rows["made-up, gain, backwards (ours): of the oracle's gain"].ours <= 100
    assert rows["ours at or above every other rule"].unit == "of 1"
    assert "made-up, last exit: latency" not in rows


def test_what_has_no_tune_rows_is_left_out_and_said(examples: Path) -> None:
    records = make_records(2).on("test")
    other = replace(records, provenance=replace(records.provenance, cascade="untuned"))
    other.save(examples / "untuned" / "records" / "fp32.parquet")
    left_out = next(row for row in study(1) if row.name == "cascades left out")
    assert left_out.how == "untuned: no tune rows"


def test_without_records_it_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_module, "EXAMPLES", tmp_path)
    with pytest.raises(RecordMismatch, match="no records of a cascade with early exits"):
        list(study(1))


def test_the_committed_records_are_there_with_latencies() -> None:
    names = [case.name for case in load_cases(cases_module.EXAMPLES) if isinstance(case, Case)]
    assert "minilm-mrpc" in names
