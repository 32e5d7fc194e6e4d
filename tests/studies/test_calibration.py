"""The calibration study: its parts against the library and formulas, its rows on made-up records."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from offramp.confidence.exit_temperatures import TemperatureMethod, fit_temperatures
from offramp.confidence.service import expected_outage
from offramp.errors import RecordMismatch
from offramp.records.records import RecordProvenance, Records
from studies.calibration import problems
from studies.calibration.deadline import CLOUDS, _exits, _Pairs, deadlines_of, missed_by, seconds_of
from studies.calibration.gate import certified_threshold, required_accuracy
from studies.calibration.outcome import CERTIFIED, TARGETS
from studies.calibration.problems import Cost, Problem, Source, load_problem
from studies.calibration.ranking import fit_logistic
from studies.calibration.splits import run_splits, split_rows
from studies.calibration.study import study
from studies.calibration.temperatures import GRID, VARIANTS, TemperatureGrid

ROWS, CLASSES = 3000, 4
METHODS: dict[str, TemperatureMethod] = {"global": "global", "per exit": "temperature", "survivors": "survivors"}


def made_up(sharpness: float = 3.0, rows: int = ROWS) -> Problem:
    """Two exits on the device and a cloud, each better than the one before, all too sure of themselves."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, rows)
    noise = rng.normal(0, 1, (3, rows, CLASSES)) + rng.normal(0, 0.7, (rows, CLASSES))
    logits = sharpness * (noise + np.array([1.5, 2.2, 3.0])[:, None, None] * np.eye(CLASSES)[labels])
    cost = Cost(np.array([0.01, 0.02]), 1e-3, 4096.0, "modelled")
    return Problem("made-up", logits.astype(np.float32), labels, "noise", cost)


def saved(folder: Path, name: str, problem: Problem, flops: tuple[int, ...] = ()) -> None:
    rows = len(problem.labels)
    provenance = RecordProvenance(name, "f" * 64, "noise", "0" * 64, 0, "test", "2026-01-01", exit_flops=flops)
    Records(
        problem.logits, problem.labels, np.full(rows, "test", "<U9"), np.arange(rows),
        tuple(f"exit{e}" for e in range(len(problem.logits))), provenance,
    ).save(folder / name / "records" / "fp32.parquet")  # fmt: skip


@pytest.mark.parametrize("variant", METHODS)
@pytest.mark.parametrize("target", [0.7, 0.9])
def test_the_grid_fits_what_the_library_fits(variant: str, target: float) -> None:
    problem = made_up()
    grid = TemperatureGrid.of(problem.logits, problem.labels)
    found = GRID[grid.fit(variant, np.arange(ROWS), target)]
    expected = fit_temperatures(problem.logits, problem.labels, METHODS[variant], target)
    np.testing.assert_allclose(found, expected, rtol=0.06)


def test_uncalibrated_is_temperature_one() -> None:
    problem = made_up()
    grid = TemperatureGrid.of(problem.logits, problem.labels)
    confidence = grid.confidence_at(grid.fit("uncalibrated", np.arange(9), 0.8), np.arange(50))
    z = problem.logits[:, :50].astype(np.float64)
    p = np.exp(z - z.max(-1, keepdims=True))
    np.testing.assert_allclose(confidence, (p / p.sum(-1, keepdims=True)).max(-1), rtol=1e-5)


@pytest.mark.parametrize("target", [0.7, 0.9])
def test_the_required_accuracy_is_where_the_outage_is_at_its_level(target: float) -> None:
    share = np.array([0.1, 0.4, 0.8, 1.0])
    needed = required_accuracy(share, target, 0.05)
    assert (expected_outage(share, np.minimum(needed + 0.01, 1), target) <= 0.05).all()
    assert (expected_outage(share, needed - 0.01, target) > 0.03).all()


def test_the_certified_threshold_breaks_its_level_as_rarely_as_it_says() -> None:
    """P(right) = score: the true outage of any threshold is known, so violations can be counted."""
    rng = np.random.default_rng(0)
    population = rng.random(200_000) ** 0.5
    shares, violated = [], []
    for _ in range(60):
        score = rng.random(4000) ** 0.5
        right = rng.random(4000) < score
        threshold = certified_threshold((score[:2000], right[:2000]), (score[2000:], right[2000:]), 0.8, 0.05, 0.05)
        decided = population >= threshold
        accuracy = population[decided].mean() if decided.any() else 1.0
        shares.append(decided.mean())
        violated.append(float(expected_outage(decided.mean(), accuracy, 0.8)) > 0.05)
    assert np.median(shares) > 0.3
    assert np.mean(violated) <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 60)


def test_nothing_is_certified_where_nothing_can_be() -> None:
    score, right = np.linspace(0, 1, 100), np.zeros(100, bool)
    assert certified_threshold((score, right), (score, right), 0.8, 0.05, 0.05) == np.inf


def test_logistic_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    x = np.hstack([np.ones((500, 1)), rng.normal(0, 1, (500, 3))])
    y = rng.random(500) < 1 / (1 + np.exp(-x @ [0.3, 1, -1, 0.5]))
    ours = fit_logistic(x, y, np.array([1e-9, 2.0, 2.0, 2.0]))
    oracle = LogisticRegression(C=0.5, tol=1e-10).fit(x[:, 1:], y)
    np.testing.assert_allclose(ours, [*oracle.intercept_, *oracle.coef_[0]], atol=1e-4)


def test_splits_are_disjoint_and_batches_whole() -> None:
    split = split_rows(ROWS, np.random.default_rng(0))
    every = np.concatenate([split.tune, split.calibrate, split.test])
    assert len(set(every.tolist())) == len(every)
    assert len(split.test) % 256 == 0


def test_the_published_effect_and_the_gate_that_holds() -> None:
    problem = made_up()
    outcome = run_splits(problem, TemperatureGrid.of(problem.logits, problem.labels), 12)
    for target in TARGETS:
        assert outcome.outage[target, CERTIFIED].mean() <= 0.05
    for target in (0.85, 0.9):
        raw, best = outcome.outage[target, "uncalibrated"], outcome.outage[target, outcome.best_variant(target)]
        assert raw.mean() > best.mean() + 0.3
        assert outcome.ece["uncalibrated", 0].mean() > 2 * outcome.ece["per exit", 0].mean()


def test_deadlines_fall_as_they_loosen() -> None:
    problem = made_up()
    assert problem.cost
    seconds = seconds_of(problem.cost, CLOUDS[0])
    assert seconds[-1] == pytest.approx(0.02 + 0.010 + 8 * 4096 / 93.6e6 + 1e-3)
    assert deadlines_of(seconds)[-1] == pytest.approx(seconds[-1])
    grid = TemperatureGrid.of(problem.logits, problem.labels)
    (missed,) = missed_by(problem, grid, [seconds], 0.8, 2)
    for variant in VARIANTS:
        assert (np.diff(missed[variant], axis=1) <= 0).all()


def test_pairs_of_thresholds_are_counted_as_they_exit() -> None:
    rng = np.random.default_rng(0)
    score, correct = rng.random((2, 500)), rng.random((3, 500)) < 0.7
    pairs = _Pairs.of(score, correct)
    for place in range(0, len(pairs.accuracy), 7):
        exits = _exits(score, *pairs.thresholds[place])
        np.testing.assert_array_equal(pairs.leaving[place], np.bincount(exits, minlength=3))
        assert pairs.accuracy[place] == pytest.approx(correct[exits, np.arange(500)].mean())


def test_the_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, "here", made_up(), flops=(1_000_000, 2_000_000, 9_000_000))
    monkeypatch.setattr(problems, "EXAMPLES", tmp_path)
    rows = list(study([Source("here", 2, 4096), Source("gone", 2)], repeats=2))
    names = [row.name for row in rows]
    assert len(set(names)) == len(names)
    assert rows[-1].name == "cascades left out"
    assert "gone" in rows[-1].how
    assert all(row.how.startswith(("replayed", "counted")) for row in rows)
    assert sum("missed deadlines" in name for name in names) == 2 * (len(VARIANTS) + 1)
    assert any("modelled: FLOPs" in row.how for row in rows)
    json.dumps([row.to_dict() for row in rows])


def test_without_costs_there_are_no_deadlines(tmp_path: Path) -> None:
    saved(tmp_path, "here", made_up())
    assert load_problem(Source("here", 2, 4096), tmp_path).cost is None


def test_a_pair_takes_the_last_exit_of_the_other(tmp_path: Path) -> None:
    near = made_up()
    saved(tmp_path, "near", near)
    saved(tmp_path, "far", replace(near, logits=near.logits[-1:] + 1))
    pair = load_problem(Source("near", 1, None, "far"), tmp_path)
    assert pair.name == "near + far"
    np.testing.assert_array_equal(pair.logits, [near.logits[0], near.logits[-1] + 1])


def test_a_pair_without_its_cloud_is_judged_on_the_device_alone(tmp_path: Path) -> None:
    near = made_up()
    saved(tmp_path, "near", near, flops=(1, 2, 3))
    alone = load_problem(Source("near", 2, 3072, "far"), tmp_path)
    assert (alone.name, alone.cost, alone.device) == ("near alone", None, 2)
    np.testing.assert_array_equal(alone.logits, near.logits)


def test_refusals(tmp_path: Path) -> None:
    near = made_up()
    saved(tmp_path, "near", near)
    saved(tmp_path, "other", replace(near, labels=near.labels[::-1].copy()))
    with pytest.raises(RecordMismatch, match="3 exits are too few for 3 on the device"):
        load_problem(Source("near", 3), tmp_path)
    with pytest.raises(RecordMismatch, match="different rows"):
        load_problem(Source("near", 1, None, "other"), tmp_path)
    with pytest.raises(RecordMismatch, match="no cascade of the study"):
        list(study([Source("nowhere", 2)]))
