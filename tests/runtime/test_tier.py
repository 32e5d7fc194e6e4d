"""Computing and deciding on one tier."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.cascade.store import Cascade
from offramp.clock import VirtualClock
from offramp.errors import ConfigError, RecordMismatch
from offramp.runtime.tier import Tier
from tests.runtime.support import local_chain, plan_of
from tests.support.tiny import make_tiny_cascade, tiny_rows

GATES = (0.6, 0.8)


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


def test_the_tiers_of_a_chain_answer_as_one(cascade: Cascade) -> None:
    plan = plan_of(cascade, ("device", "edge", "cloud"), GATES)
    rows = tiny_rows(60)
    expected = local_chain(cascade, rows, GATES)
    label, exits = np.full(60, -1), np.full(60, -1)
    alive, cut = np.arange(60), 0
    tensors: tuple[Any, ...] = (rows,)
    for name in plan.tiers:
        tier = Tier(cascade, name, [plan])
        run = tier.run(tier.route(), cut, tensors)
        label[alive], exits[alive] = run.rows.label, run.rows.exit
        assert tier.counters.rows_executed[cut] == len(alive)
        alive, tensors, cut = alive[run.survivors], run.tensors, run.cut
    assert not len(alive)
    assert label.tolist() == [row[0] for row in expected]
    assert exits.tolist() == [row[1] for row in expected]


def test_nothing_to_run_lets_everyone_go_on(cascade: Cascade) -> None:
    tier = Tier(cascade, "device", [plan_of(cascade, ("cloud",) * 3, GATES)])
    run = tier.run(tier.route(), 0, (tiny_rows(3),))
    assert run.survivors.tolist() == [0, 1, 2]
    assert run.cut == 0
    assert not run.rows.answered
    assert sum(tier.counters.rows_executed) == 0


def test_the_last_tier_answers_everything(cascade: Cascade) -> None:
    tier = Tier(cascade, "device", [plan_of(cascade, ("device",) * 3, (None, None))])
    run = tier.run(tier.route(), 0, (tiny_rows(5),))
    assert run.rows.exit.tolist() == [2] * 5
    assert not len(run.survivors)


def test_where_nothing_is_to_decide_the_answers_are_the_same(cascade: Cascade) -> None:
    plan = plan_of(cascade, ("device", "edge", "cloud"), (None, None))
    tier = Tier(cascade, "cloud", [plan])
    features = np.abs(tiny_rows(6)).repeat(2, axis=1)
    through = tier.run(tier.route(), 2, [features])
    walked = tier.run_to_exit(tier.route(), 2, [features])
    assert through.rows.label.tolist() == walked.rows.label.tolist()
    assert through.rows.exit.tolist() == walked.rows.exit.tolist() == [2] * 6
    np.testing.assert_array_equal(through.rows.probabilities, walked.rows.probabilities)
    np.testing.assert_array_equal(through.rows.confidence, walked.rows.confidence)
    assert (through.rows.tier, through.cut, len(through.survivors)) == (["cloud"] * 6, 3, 0)
    assert through.rows.compute_s["cloud"] > 0
    assert tier.counters.rows_executed == [0, 0, 12]


def test_no_time_for_the_next_exit_leaves_at_this_one(cascade: Cascade) -> None:
    clock = VirtualClock()
    tier = Tier(cascade, "device", [plan_of(cascade, ("device",) * 3, (0.6, None))], clock=clock)
    route = tier.route()
    for index in range(3):
        tier.segment(route, index).row_s = 1.0
    run = tier.run(route, 0, (tiny_rows(10),), deadline_s=0.05)  # a row takes 1 s to the next exit
    wanted_on = [row[1] > 0 for row in local_chain(cascade, tiny_rows(10), (0.6, None))]
    assert 0 < sum(wanted_on) < 10
    assert run.rows.exit.tolist() == [0] * 10
    assert [bool(reason) for reason in run.rows.degraded] == wanted_on
    assert set(run.rows.degraded) == {"", "deadline"}
    assert tier.counters.rows_executed == [10, 0, 0]


def test_expected_seconds_are_known_after_warming(cascade: Cascade) -> None:
    tier = Tier(cascade, "device", [plan_of(cascade, ("device",) * 3, GATES)])
    route = tier.route()
    assert tier.expected_s(route, 0, 2) == float("inf")
    tier.warm(route, 0, 2)
    assert 0 < tier.expected_s(route, 0, 2) < 1
    assert tier.expected_s(route, 0, 2, rows=3) == pytest.approx(3 * tier.expected_s(route, 0, 2))


def test_a_slow_tier_takes_its_time(cascade: Cascade) -> None:
    clock = VirtualClock()
    tier = Tier(cascade, "device", [plan_of(cascade, ("device",) * 3, GATES)], slow_down=1e6, clock=clock)
    run = tier.run(tier.route(), 0, (tiny_rows(1),))
    assert run.rows.compute_s["device"] == clock.now() > 0


def test_plans_are_known_by_id(cascade: Cascade) -> None:
    first, second = (plan_of(cascade, ("device",) * 3, gates) for gates in (GATES, (None, None)))
    tier = Tier(cascade, "device", [first, second])
    assert tier.plan_ids == (first.plan_id, second.plan_id)
    assert tier.route().plan is first
    assert tier.route(second.plan_id).plan is second
    with pytest.raises(RecordMismatch, match="no plan 'nope'"):
        tier.route("nope")


def test_plans_that_do_not_fit_are_refused(cascade: Cascade, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no plan"):
        Tier(cascade, "device", [])
    with pytest.raises(ConfigError, match="no tier 'fog'"):
        Tier(cascade, "fog", [plan_of(cascade, ("device",) * 3, GATES)])
    with pytest.raises(ConfigError, match="places 2 segments"):
        Tier(cascade, "device", [plan_of(cascade, ("device",) * 2, (0.5,))])
    other = make_tiny_cascade(tmp_path, name="other", segments=3, seed=9)
    with pytest.raises(RecordMismatch, match="another build"):
        Tier(cascade, "device", [plan_of(other, ("device",) * 3, GATES)])


def test_thresholds_compare_as_float32_in_batches_and_alone(cascade: Cascade) -> None:
    route = Tier(cascade, "device", [plan_of(cascade, ("device",) * 3, (0.9, None))]).route()
    confidence = np.array([np.float32(0.9), np.nextafter(np.float32(0.9), np.float32(0))], np.float32)
    batch = route.leaves(0, confidence, np.zeros((2, 3), np.float32)).tolist()
    assert batch == [True, False]
    assert [value.item() >= route.threshold(0) for value in confidence] == batch
    assert route.leaves(1, confidence, np.zeros((2, 3), np.float32)).tolist() == [False, False]
    assert route.leaves(2, confidence, np.zeros((2, 3), np.float32)).tolist() == [True, True]


def test_a_tier_that_never_sees_the_sample_cannot_hand_it_over(cascade: Cascade) -> None:
    first, second, third = cascade.manifest.segments
    segments = (first, second.model_copy(update={"hand_over": "input"}), third)
    restarting = Cascade(cascade.path, cascade.manifest.model_copy(update={"segments": segments}))
    Tier(restarting, "device", [plan_of(restarting, ("device", "device", "edge"), GATES)])
    with pytest.raises(ConfigError, match="segment 1 hands over the input, but tier 'edge'"):
        Tier(restarting, "device", [plan_of(restarting, ("device", "edge", "edge"), GATES)])
