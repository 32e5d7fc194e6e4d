"""What a bandit takes off its reward is what `Costs` says the path cost."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from offramp.policies.bandits.adaee import AdaEE, Ucbee
from offramp.policies.bandits.base import BanditPolicy
from offramp.policies.bandits.ceebert import CeeBert
from offramp.policies.bandits.reliability import ReliabilityHead
from offramp.policies.bandits.splitee import ISplitEE, SplitEE, SplitEEAudited, SplitEES
from offramp.policies.bandits.uat import Uat
from offramp.policies.bandits.ucb import Reward
from offramp.policies.bandits.uee_ucb import UeeUcb
from offramp.policies.costs import Costs
from offramp.policies.replay import PolicyReplay, replay
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream
from tests.policies.bandits.streams import make_stream, setting_of

Floats = NDArray[np.float64]

ROWS = 300
PLAIN = make_stream(4, ROWS)
PRICED = replace(PLAIN, price=np.random.default_rng(1).uniform(0.0, 0.3, ROWS))
SETTING = setting_of(PLAIN, price=0.07)


def confidence_of_the_answer(stream: Stream, found: PolicyReplay) -> Floats:
    return np.asarray(stream.confidence[found.exit, found.row], np.float64)


def gain_since_the_first(stream: Stream, found: PolicyReplay) -> Floats:
    return confidence_of_the_answer(stream, found) - np.asarray(stream.confidence[0, found.row], np.float64)


def gain_where_it_went_on(stream: Stream, found: PolicyReplay) -> Floats:
    return np.maximum(gain_since_the_first(stream, found), 0.0) * (found.exit > 0)


def differs_from_the_first(stream: Stream, found: PolicyReplay) -> Floats:
    return np.asarray(found.label != stream.predicted[0, found.row], np.float64)


def agrees_with_the_last(stream: Stream, found: PolicyReplay) -> Floats:
    return np.asarray(found.label == stream.predicted[-1, found.row], np.float64)


def trusted(stream: Stream, found: PolicyReplay) -> Floats:
    head = ReliabilityHead(-2.0, -0.1, 1.0)
    return np.array(
        [c * (1 - head(c, e)) for c, e in zip(confidence_of_the_answer(stream, found), found.exit, strict=True)]
    )


#: what each takes for being right, and whether it counts from the first exit on
GAINED: dict[type[BanditPolicy], tuple[Callable[[Stream, PolicyReplay], Floats], bool]] = {
    UeeUcb: (differs_from_the_first, True),
    AdaEE: (gain_where_it_went_on, True),
    Ucbee: (gain_where_it_went_on, True),
    SplitEE: (confidence_of_the_answer, False),
    SplitEES: (confidence_of_the_answer, False),
    ISplitEE: (confidence_of_the_answer, False),
    SplitEEAudited: (agrees_with_the_last, False),
    CeeBert: (gain_since_the_first, True),
    Uat: (trusted, False),
}


def started(kind: type[BanditPolicy]) -> BanditPolicy:
    return Uat(SETTING, ReliabilityHead(-2.0, -0.1, 1.0)) if kind is Uat else kind(SETTING)


def paid_in_replay(policy: BanditPolicy, stream: Stream) -> tuple[PolicyReplay, Floats]:
    """The replay, and the reward of the arm that was played for each sample."""
    learner, arms, paid = policy.learner(), list[int](), list[float]()
    choose, learn = learner.choose, learner.learn

    def noted() -> int:
        arms.append(choose())
        return arms[-1]

    def heard(rewards: Iterable[Reward]) -> None:
        told = list(rewards)
        paid.append(next(one.value for one in told if one.arm == arms[-1]))
        learn(told)

    learner.choose, learner.learn = noted, heard  # type: ignore[method-assign]  # to look on
    return replay(policy, stream, audit_share=1.0), np.array(paid)


@pytest.mark.parametrize("stream", [PLAIN, PRICED], ids=["one price", "prices"])
@pytest.mark.parametrize("kind", GAINED, ids=lambda kind: kind.name)
def test_the_reward_is_what_was_gained_less_what_the_path_cost(kind: type[BanditPolicy], stream: Stream) -> None:
    found, rewards = paid_in_replay(started(kind), stream)
    account = Costs.of_setting(SETTING).account(found, stream)
    gained, since_first = GAINED[kind]
    path = account.going_on + account.compute - since_first * SETTING.layer_costs[0]
    np.testing.assert_allclose(rewards, gained(stream, found) - path, rtol=0, atol=1e-6)
    assert len(np.unique(found.exit)) > 1


@pytest.mark.parametrize("kind", [kind for kind in GAINED if kind is not Uat], ids=lambda kind: kind.name)
def test_rewards_fit_in_the_span(kind: type[BanditPolicy]) -> None:
    policy = kind(Setting((0.7,) * 5, price=0.6, layer_costs=(0.1, 0.2, 0.3, 0.4, 0.5, 0.6)))
    _, rewards = paid_in_replay(policy, make_stream(6, 200))
    if kind is not UeeUcb:  # whose costs are known, and agreement alone uncertain
        assert np.ptp(rewards) <= policy.learner().span


@pytest.mark.parametrize("kind", GAINED, ids=lambda kind: kind.name)
def test_as_the_authors_count_one_offload_is_paid_once(kind: type[BanditPolicy]) -> None:
    once = Uat.start(SETTING, offload_once=True) if kind is Uat else kind(SETTING, offload_once=True)
    assert [once._path_cost(exit_index, 0.07) for exit_index in range(4)] == pytest.approx([0.05, 0.1, 0.15, 0.27])
    again = type(once).from_json(once.to_json())
    assert (again.offload_once, "offload_once=True" in repr(again)) == (True, True)
    assert not started(kind).offload_once
