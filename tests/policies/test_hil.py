"""HIL-F, HIL-N and Hedge-HI: known answers, their regret below their bounds, and what they may hear."""

from __future__ import annotations

import math

import numpy as np
import pytest

from offramp.errors import ConfigError
from offramp.policies.base import Action, Feedback, FeedbackKind, View
from offramp.policies.hedge_hi import HedgeHI
from offramp.policies.hedge_hi_restart import HedgeHIRestart
from offramp.policies.hil_f import HilF
from offramp.policies.hil_n import HilN
from offramp.policies.hindsight import best_threshold
from offramp.policies.learner import Learner
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream
from tests.policies.instances import calibrated, price_of_exits, worst

ROWS = 3000


def regret(policy: Learner, stream: Stream, price: float) -> float:
    found = replay(policy, stream)
    wrong = ~stream.right
    best = best_threshold(stream.confidence[0], wrong[0], price + wrong[1])
    fixed = price_of_exits(stream, (stream.confidence[0] < best).astype(int), price)
    return float(price_of_exits(stream, found.exit, price).sum() - fixed.sum())


@pytest.mark.parametrize("bits", [10, None])
def test_hil_f_after_one_update(bits: int | None) -> None:
    policy = HilF(price=0.0, eta=0.7, bits=bits)
    policy.decide(View(0, 0, 0.5, label=1))
    policy.learn(Feedback(0, 1, truth=0))
    assert policy.accepts(0.5) == pytest.approx(math.exp(-0.7) / (1 + math.exp(-0.7)))


def test_hil_f_quantised_decides_as_the_exact_one_on_a_grid() -> None:
    stream = calibrated(np.random.default_rng(1), 500)
    stream = Stream((np.floor(stream.confidence * 1024) / 1024).astype(np.float32), stream.predicted, stream.truth)
    exact, quantised = (HilF(0.2, 500, bits=bits, eta=0.3, seed=4) for bits in (None, 10))
    np.testing.assert_array_equal(replay(exact, stream).exit, replay(quantised, stream).exit)


@pytest.mark.parametrize("price", [0.05, 0.2, 0.5])
@pytest.mark.parametrize("make", [calibrated, worst])
def test_hil_f_stays_below_its_bound(make: object, price: float) -> None:
    assert callable(make)
    found = [regret(HilF(price, ROWS, seed=s), make(np.random.default_rng(s), ROWS), price) for s in range(5)]
    bound = HilF(price, ROWS).regret_bound
    assert bound == pytest.approx(math.sqrt(ROWS * 10 * math.log(2) / 2))
    assert np.mean(found) < bound


@pytest.mark.parametrize("price", [0.2, 0.5])
def test_hil_n_stays_below_its_bound(price: float) -> None:
    found = [regret(HilN(price, ROWS, seed=s), calibrated(np.random.default_rng(s), ROWS), price) for s in range(5)]
    bound = HilN(price, ROWS).regret_bound
    assert bound == pytest.approx(3 * (price * ROWS**2 * 10 * math.log(2) / 2) ** (1 / 3))
    assert np.mean(found) < bound


def test_full_feedback_beats_exploration() -> None:
    streams = [calibrated(np.random.default_rng(seed), ROWS) for seed in range(5)]
    f, n = (np.mean([regret(kind(0.3, ROWS, seed=1), one, 0.3) for one in streams]) for kind in (HilF, HilN))
    assert f < 0.5 * n


@pytest.mark.parametrize("kind", [HedgeHI, HedgeHIRestart])
def test_hedge_hi_learns_not_to_send_what_is_sure(kind: type[HedgeHI]) -> None:
    policy = kind(price=0.3, horizon=ROWS, seed=2)
    replay(policy, calibrated(np.random.default_rng(0), ROWS))
    assert policy.accepts(0.99) > 0.9
    assert policy.accepts(0.55) < 0.3
    assert policy.experts <= 1025


def test_restarts_double_and_equalise() -> None:
    policy = HedgeHIRestart(price=0.2, bits=3)
    epochs = []
    for sample in range(64 + 128 + 256 + 1):
        policy.decide(View(sample, 0, (sample % 8) / 8, label=0))
        policy.learn(Feedback(sample, 1, labels=(0, 1)))
        epochs.append(policy.epoch)
    assert [epochs.count(epoch) for epoch in range(4)] == [64, 128, 256, 1]
    assert policy.experts == 8  # edges 1/8 to 7/8, and 1
    assert policy.accepts(0.5) == pytest.approx(0.5)


@pytest.mark.parametrize("kind", [HilN, HedgeHI, HedgeHIRestart])
def test_what_was_not_explored_teaches_nothing(kind: type[HilN] | type[HedgeHI]) -> None:
    policy = kind(price=0.5, horizon=10**6, seed=0)
    unexplored = 0
    for sample in range(20):
        policy.decide(View(sample, 0, 0.75, label=1))
        if policy._pending.get(sample) is None:
            before = policy.accepts(0.75)
            policy.learn(Feedback(sample, 1, labels=(1, 0)))
            assert policy.accepts(0.75) == before
            unexplored += 1
    assert unexplored
    assert policy.feedback is FeedbackKind.ANSWERS


def test_the_price_of_the_view_counts() -> None:
    policy = HilF(price=0.2, eta=1.0)
    policy.decide(View(0, 0, 0.5, label=1, price=0.9))
    policy.learn(Feedback(0, 0, truth=1))
    assert policy.accepts(0.5) == pytest.approx(1 / (1 + math.exp(-0.9)))


def test_late_feedback_in_any_order_gives_the_same_weights() -> None:
    one, two = HilF(0.3), HilF(0.3)
    for sample in range(50):
        for policy in (one, two):
            policy.decide(View(sample, 0, sample / 50, label=1))
    for sample in range(50):
        one.learn(Feedback(sample, 0, truth=sample % 2))
        two.learn(Feedback(49 - sample, 0, truth=(49 - sample) % 2))
    assert one.accepts(0.6) == pytest.approx(two.accepts(0.6))


@pytest.mark.parametrize("kind", [HilF, HilN, HedgeHI, HedgeHIRestart])
def test_several_early_exits_are_refused(kind: type[Learner]) -> None:
    with pytest.raises(ConfigError, match="decides at one early exit"):
        kind.start(Setting((0.5, 0.5)))


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="must be above 0"):
        HilF(eta=0.0)


def test_an_unknown_answer_is_not_learned_from_yet() -> None:
    policy = HilN(price=0.0)  # explores always
    assert policy.decide(View(0, 0, 0.5, label=1)) is Action.GO_ON
    before = policy.accepts(0.5)
    policy.learn(Feedback(0, 1, labels=(1, None)))
    assert policy.accepts(0.5) == before
    policy.learn(Feedback(0, 1, labels=(1, 0)))
    assert policy.accepts(0.5) < before
