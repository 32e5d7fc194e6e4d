"""The study of DIMEE: its prices, its paths, its certificates, on the small committed tasks."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from offramp.errors import RecordMismatch
from offramp.policies.replay import replay
from studies.dimee.certifying import EPSILONS, certify_family
from studies.dimee.evidence import Task, load_tasks
from studies.dimee.features import COMPONENTS, TrainingHistory, load_features
from studies.dimee.methods import FAMILIES, Paths
from studies.dimee.ours import fit_ours
from studies.dimee.outcomes import choose, outcome, traffic_bytes
from studies.dimee.study import study
from studies.dimee.tiers import BEGINS, GRID, MAIN, TIERS, Prices


@pytest.fixture(scope="module")
def task() -> Task:
    (found,) = load_tasks(("rte",))
    assert isinstance(found, Task)
    return found


@pytest.mark.parametrize("prices", GRID, ids=str)
def test_paths_cost_their_layers_and_their_hops(prices: Prices) -> None:
    for hand_over in ("features", "input"):
        paths = prices.paths(hand_over)
        for tier, begin in enumerate(BEGINS):
            assert np.isinf(paths[tier, :begin]).all()
            assert paths[tier, TIERS[tier]] == prices.hops[tier]
    again = prices.paths("input")[0] - prices.paths("features")[0]
    assert again.tolist() == [0, 0, 2, 2, 6, 6]


def test_all_cloud_is_the_measure_of_all(task: Task) -> None:
    for name, cut in {"all cloud": 0.0, "all mobile": 75.0, "all edge": 37.5}.items():
        got = outcome(task.test, FAMILIES[name].use(task.tune, task.test, MAIN, 0.0), MAIN)
        assert got.cut == pytest.approx(cut)
    assert got.loss == pytest.approx(100 * (task.test.right[5].mean() - task.test.right[3].mean()))


def test_ours_takes_the_paths_its_policy_takes(task: Task) -> None:
    for hand_over in ("features", "input"):
        ours = fit_ours(task.tune, MAIN, 0.004, hand_over)
        begin, left = ours.paths(task.test)
        confidence = np.vstack([ours.scores(task.test)[:-1], task.test.stream.confidence[-1:]])
        found = replay(ours.router, replace(task.test.stream, confidence=confidence, runner_up=None))
        np.testing.assert_array_equal(found.begin, np.array(BEGINS)[begin])
        np.testing.assert_array_equal(found.exit, left)


@pytest.mark.parametrize(
    "name", [name for name, family in FAMILIES.items() if "random" not in name and not family.needs_history]
)
def test_every_family_runs_and_ends_at_exits_its_paths_have(task: Task, name: str) -> None:
    paths = FAMILIES[name].use(task.tune, task.test, MAIN, FAMILIES[name].trade_offs[-1])
    assert np.isfinite(paths.cost(MAIN)).all()


def test_pools_of_training_rows_need_their_history(task: Task) -> None:
    sure = np.random.default_rng(0).random((4, len(task.tune))).astype(np.float32)
    kept = replace(task.tune, history=TrainingHistory(task.tune.features, sure), routers={})
    paths = FAMILIES["DIMEC-DC"].use(kept, task.test, MAIN, 0.004)
    assert np.isfinite(paths.cost(MAIN)).all()
    nothing = replace(task.tune, history=None, routers={})
    with pytest.raises(RecordMismatch, match="nobody kept the training history"):
        FAMILIES["DIMEC-DC"].use(nothing, task.test, MAIN, 0.004)


def test_the_chosen_trade_off_loses_little_in_the_folds(task: Task) -> None:
    family = FAMILIES["confidence cascade, features"]
    chosen = choose(family, task, MAIN)
    judged = [outcome(b, family.use(a, b, MAIN, chosen), MAIN) for a, b in task.tune.folds]
    assert np.average([o.loss for o in judged], weights=[len(b) for _, b in task.tune.folds]) <= 0.3 + 1e-9


def test_bytes_are_those_of_what_is_handed_over(task: Task) -> None:
    rows = len(task.test)
    zeros = np.zeros(rows, np.intp)
    stays = Paths(zeros, np.full(rows, 1))
    assert not traffic_bytes(task.test, stays).any()
    climbs = Paths(zeros, np.full(rows, 3), "input")
    np.testing.assert_allclose(traffic_bytes(task.test, climbs), task.test.tokens * 24)
    at_once = Paths(np.full(rows, 1), np.full(rows, 3))
    np.testing.assert_allclose(traffic_bytes(task.test, at_once), task.test.tokens * 24)


def test_more_loss_certifies_more_cut(task: Task) -> None:
    curve = certify_family(FAMILIES["gates, features"], task, MAIN)
    cuts = [got.cut if got else 0.0 for got in (curve.calibrate[e] for e in EPSILONS)]
    assert cuts[0] == 0.0  # so few rows cannot certify so little
    assert all(one <= two + 1e-9 for one, two in pairwise(cuts))


def test_features_are_those_of_the_rows(task: Task) -> None:
    features = load_features("rte")
    assert features.matrix.shape == (775, COMPONENTS + 2)
    assert features.tokens.min() > 3
    with pytest.raises(RecordMismatch, match="lack rows"):
        features.of(replace(task.test.records, row=task.test.records.row + 10**6))
    with pytest.raises(RecordMismatch, match="no routing features"):
        load_features("nowhere")


def test_without_any_task_it_refuses() -> None:
    with pytest.raises(RecordMismatch, match="no text task can be studied"):
        list(study(("nowhere",)))
