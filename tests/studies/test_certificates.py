"""The certificates study on one small case: promises kept, ours no worse than what it builds on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offramp.confidence.risks import AccuracyLoss
from offramp.errors import RecordMismatch
from studies.certificates.methods import CERTIFIED, METHODS
from studies.certificates.pool import Pool, draw_weights
from studies.certificates.problems import load_problem
from studies.certificates.study import Case, run_case, study


def test_promises_are_kept_and_the_plug_in_breaks_its_own() -> None:
    problem = load_problem("cifar10", None)
    assert problem is not None
    case = Case(0.02, 0.1, 2000)
    outcomes = run_case(problem, case, draw_weights(problem.pool.rows, case.rows, 120))
    assert list(outcomes) == list(METHODS)
    for name in CERTIFIED:
        splits = len(outcomes[name].broken)
        assert outcomes[name].broken.mean() <= 0.1 + 3 * np.sqrt(0.09 / splits), name
    assert outcomes["plug-in"].broken.mean() > 0.25
    saved = {name: float(np.median(outcome.saved)) for name, outcome in outcomes.items()}
    assert saved["LTT truncated"] < saved["ours"] < saved["plug-in"]


def test_the_pool_is_the_truth_its_draws_have_on_average() -> None:
    problem = load_problem("cifar10", None)
    assert problem is not None
    thresholds = np.array([[np.inf, np.inf], [0.8, 0.6]])
    pool = Pool.of(thresholds, problem, limit=0.01)
    draws = pool.draws(draw_weights(problem.pool.rows, 500, 400), 500)
    truth = pool.bad.mean(1) - pool.good.mean(1)
    assert np.allclose(draws.loss.mean(1), truth, atol=2e-3)
    assert pool.broken.tolist() == [False, bool(truth[1] > 0.01)]
    assert AccuracyLoss(0.01).limit == 0.01


def test_no_records_at_all_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordMismatch, match="no records of any cascade"):
        next(study(tmp_path))
