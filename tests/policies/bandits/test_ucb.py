"""The learner that the bandit exits share."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import ConfigError
from offramp.policies.bandits.indices import INDICES, bayes_ucb, ucb1, ucb_tuned, ucb_v
from offramp.policies.bandits.ucb import Reward, Ucb, UcbOptions

MEANS = (0.45, 0.6, 0.5)


def play(learner: Ucb, rounds: int, seed: int = 0, means: tuple[float, ...] = MEANS) -> list[int]:
    rng = np.random.default_rng(seed)
    arms = []
    for _ in range(rounds):
        arms.append(learner.choose())
        learner.learn([Reward(arms[-1], float(rng.random() < means[arms[-1]]))])
    return arms


@pytest.mark.parametrize("index", INDICES)
def test_regret_grows_as_a_logarithm(index: str) -> None:
    gaps = max(MEANS) - np.array(MEANS)
    regret = np.stack([gaps[play(Ucb([0.0] * 3, UcbOptions(index)), 8000, seed)].cumsum() for seed in range(5)]).mean(0)
    assert regret[-1] < 0.6 * 8000 * gaps.mean()
    assert regret[7999] - regret[3999] < 0.75 * (regret[3999] + 1)  # of a line: equal


@given(
    mean=st.floats(0, 1), variance=st.floats(0, 0.25), heard=st.integers(1, 10_000), rounds=st.integers(2, 1_000_000)
)
def test_indices_are_above_the_mean_and_fall_with_what_was_heard(
    mean: float, variance: float, heard: int, rounds: int
) -> None:
    for index in (ucb1, ucb_v, ucb_tuned, bayes_ucb):
        here = index(mean, variance, heard, rounds, 1.0, 1.0)
        assert here >= mean
        assert index(mean, variance, 4 * heard, rounds, 1.0, 1.0) <= here + 1e-12
        assert index(mean, variance, heard, 10 * rounds, 1.0, 1.0) >= here - 1e-12
        assert index(mean, variance, heard, rounds, 1.0, 0.0) == mean


def test_ucb1_by_hand() -> None:
    assert ucb1(0.5, 0.1, 10, 100, 1.0, 2.0) == pytest.approx(0.5 + 2 * math.sqrt(math.log(100) / 10))


def test_ties_go_to_the_lower_cost_and_each_arm_is_tried_once_first() -> None:
    learner = Ucb([3.0, 1.0, 2.0])
    tried = []
    for _ in range(3):
        tried.append(learner.choose())
        learner.learn([Reward(tried[-1], 0.5)])
    assert tried == [1, 2, 0]
    assert learner.choose() == 1
    assert learner.best == 1


def test_counts_are_the_rounds_and_the_side_observations() -> None:
    learner = Ucb([0.0] * 3)
    for arms in ([0], [0, 1], [0, 1, 2], []):
        learner.choose()
        learner.learn([Reward(arm, 0.1) for arm in arms])
    assert learner.rounds == 3
    assert sum(learner.heard) == 6


def test_an_arm_nobody_hears_of_is_left_alone() -> None:
    learner = Ucb([0.0, 1.0])
    played = [0, 0]
    for _ in range(500):
        arm = learner.choose()
        played[arm] += 1
        learner.learn([Reward(1, 0.5)] if arm == 1 else [])
    assert played[0] == 32
    assert Ucb([0.0]).choose() == 0


def test_late_rewards_do_not_stop_it_from_trying_the_others() -> None:
    learner = Ucb([0.0] * 4)
    assert sorted(learner.choose() for _ in range(8)) == [0, 0, 1, 1, 2, 2, 3, 3]


@pytest.mark.parametrize("options", [UcbOptions(discount=0.99), UcbOptions(window=200)])
def test_what_is_forgotten_makes_room_for_a_change(options: UcbOptions) -> None:
    cautious = replace(options, exploration=0.2)
    learner, steady = Ucb([0.0] * 2, cautious), Ucb([0.0] * 2, UcbOptions(exploration=0.2))
    for each in (learner, steady):
        play(each, 4000, means=(0.9, 0.6))
    late, stuck = play(learner, 600, means=(0.1, 0.6)), play(steady, 600, means=(0.1, 0.6))
    assert np.mean(late[300:]) > 0.7
    assert np.mean(stuck[300:]) < 0.3


def test_a_window_forgets_exactly() -> None:
    learner = Ucb([0.0] * 2, UcbOptions(window=3))
    for value in (1.0, 0.0, 0.25, 0.5, 0.75):
        learner.learn([Reward(0, value)])
    assert (learner.rounds, learner.heard[0], learner.sums[0]) == (3, 3, 1.5)


@pytest.mark.parametrize("options", [UcbOptions("ucb-v", discount=0.9), UcbOptions("bayes-ucb", window=7)])
def test_state_survives_json(options: UcbOptions) -> None:
    one, two = Ucb([0.0] * 3, options), Ucb([0.0] * 3, options)
    play(one, 50)
    two.restore(json.loads(json.dumps(one.state())))
    assert play(one, 100, 1) == play(two, 100, 1)
    with pytest.raises(ValueError, match="has 3 arms, not 2"):
        Ucb([0.0] * 2).restore(one.state())


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"index": "ucb2"}, "unknown index 'ucb2'; known are ucb1"),
        ({"exploration": float("nan")}, "must be a number from 0"),
        ({"discount": 0.0}, "must lie in"),
        ({"window": 0}, "at least one round"),
        ({"window": 5, "discount": 0.5}, "not by both"),
    ],
)
def test_wrong_options_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        UcbOptions(**wrong)  # type: ignore[arg-type]  # that is the point


def test_no_arms_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least one arm"):
        Ucb([])
