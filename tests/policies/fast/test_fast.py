"""Replays of many shuffles at once decide as the policies do one at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.errors import ConfigError
from offramp.policies.base import FeedbackKind, Policy
from offramp.policies.costs import Costs
from offramp.policies.draws import Draws
from offramp.policies.fast.draws import BLOCK, ManyDraws
from offramp.policies.fast.experts import ManyExperts
from offramp.policies.fast.replay import answer_many, replay_many, supports
from offramp.policies.fast.thresholds import exits_by_threshold
from offramp.policies.fast.weights import ManyWeights
from offramp.policies.fixed import FixedGates
from offramp.policies.gain import GainDecider
from offramp.policies.h2t2 import H2T2
from offramp.policies.hedge_hi import HedgeHI
from offramp.policies.hedge_hi_restart import HedgeHIRestart
from offramp.policies.hi_lcb import HILCB, HILCBLite
from offramp.policies.hil_f import HilF
from offramp.policies.hil_n import HilN
from offramp.policies.hindsight import HindsightThreshold
from offramp.policies.logistic import LogisticDecider
from offramp.policies.lyapunov_exp4 import LyapunovExp4
from offramp.policies.orders import Orders
from offramp.policies.pieces import Pieces
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.policies.shuffled import Telling, over_shuffles
from offramp.policies.stream import Stream, stream_of
from offramp.policies.threshold_tree import ThresholdTree
from tests.support.instances import make_records

KINDS: list[type[Policy]] = [
    FixedGates, GainDecider, HILCB, HILCBLite, HedgeHI, HedgeHIRestart, HilF, HilN, HindsightThreshold, LyapunovExp4,
]  # fmt: skip
STREAM = stream_of(make_records(np.random.default_rng(0), 700, 2, levels=3))
PRICED = replace(STREAM, price=np.random.default_rng(1).uniform(0, 0.6, 700))
PRICES = (0.05, 0.2, 0.5)


@pytest.mark.parametrize("stream", [STREAM, PRICED, STREAM.published()], ids=["one price", "prices", "published"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_decisions_are_those_of_the_policy(kind: type[Policy], stream: Stream) -> None:
    orders = Orders.draw(700, 3, seed=5)
    starts = [Setting((0.7,), price=price, horizon=700, budget=0.3, rows=STREAM.labelled) for price in PRICES]
    seeds = orders.policy_seed
    policies = [kind.start(setting, seed=int(seed)) for setting, seed in zip(starts, seeds, strict=True)]
    before = [policy.to_json() for policy in policies]
    exits = replay_many(policies, stream, orders.order, seeds)
    assert [policy.to_json() for policy in policies] == before
    assert len(np.unique(exits)) == 2
    for policy, order, found in zip(policies, orders.order, exits, strict=True):
        np.testing.assert_array_equal(replay(policy, stream, order).exit, found)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_over_shuffles_it_makes_no_difference(kind: type[Policy], monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting((0.7,), price=0.2, horizon=700, budget=0.3, rows=STREAM.labelled)
    costs = Costs.of_setting(setting)
    fast = over_shuffles(kind, setting, STREAM, costs, 2, seed=3)
    monkeypatch.setattr("offramp.policies.shuffled.supports", lambda kind: False)
    slow = over_shuffles(kind, setting, STREAM, costs, 2, seed=3)
    for name in ("cost", "accuracy", "went_on", "audited"):
        np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), rtol=0, atol=1e-12)


TWO_CLASSES = stream_of(make_records(np.random.default_rng(0), 900, 2, classes=2, levels=3))


@pytest.mark.parametrize("costs", [(1.0, 1.0), (0.6, 2.0)], ids=["equal", "unequal"])
@pytest.mark.parametrize("priced", [False, True], ids=["one price", "prices"])
def test_two_thresholds_decide_and_say_the_same(costs: tuple[float, float], priced: bool) -> None:
    stream = replace(TWO_CLASSES, price=np.random.default_rng(1).uniform(0, 0.6, 900)) if priced else TWO_CLASSES
    orders = Orders.draw(900, 3, seed=5)
    starts = [Setting((0.7,), price=price, horizon=900, mistake_costs=costs) for price in PRICES]
    seeds = orders.policy_seed
    policies = [H2T2.start(setting, seed=int(seed)) for setting, seed in zip(starts, seeds, strict=True)]
    exits, said = answer_many(policies, stream, orders.order, seeds)
    assert said is not None
    for policy, order, left, answers in zip(policies, orders.order, exits, said, strict=True):
        found = replay(policy, stream, order)
        np.testing.assert_array_equal(found.exit, left)
        np.testing.assert_array_equal(found.label, answers)
    assert (said != stream.predicted[exits, orders.order]).any()


@pytest.mark.parametrize("published", [False, True])
def test_over_shuffles_answers_of_two_thresholds_are_charged(published: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    setting = Setting((0.7,), price=0.2, horizon=900, mistake_costs=(0.6, 2.0))
    costs = Costs.of_setting(setting)
    fast = over_shuffles(H2T2, setting, TWO_CLASSES, costs, 2, seed=3, published=published)
    monkeypatch.setattr("offramp.policies.shuffled.supports", lambda kind: False)
    slow = over_shuffles(H2T2, setting, TWO_CLASSES, costs, 2, seed=3, published=published)
    for name in ("cost", "accuracy", "went_on", "audited", "labelled"):
        np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), rtol=0, atol=1e-12)


@pytest.mark.parametrize("budget", [0.0, 0.05, 1.0])
def test_a_queue_that_grows_and_one_that_never_does(budget: float) -> None:
    orders = Orders.draw(700, 2, seed=1)
    policies = [LyapunovExp4(budget, 700, exploration=share, seed=int(seed)) for share, seed in
                zip((None, 0.0), orders.policy_seed, strict=True)]  # fmt: skip
    exits = replay_many(policies, STREAM, orders.order, orders.policy_seed)
    for policy, order, found in zip(policies, orders.order, exits, strict=True):
        np.testing.assert_array_equal(replay(policy, STREAM, order).exit, found)


@settings(max_examples=50)
@given(bits=st.integers(1, 7), steps=st.lists(st.tuples(st.integers(0, 128), st.floats(-8, 8)), max_size=40))
def test_many_experts_are_those_of_the_pieces(bits: int, steps: list[tuple[int, float]]) -> None:
    pieces, many, size = Pieces(by_length=False), ManyExperts(bits, 2), 1 << bits
    for at, log_factor in steps:
        where = min(at, size)
        pieces.split(where / size)
        many.meet(np.array([where, 0]))
        place = many.below(np.array([where, 0]))
        assert place.weight[0] == pytest.approx(pieces.below(where / size), abs=1e-9)
        assert place.weight[1] == 0.0
        many.scale(place, np.exp([log_factor, 5.0]))
        pieces.add(where / size, log_factor, 0.0)
        many.settle()
    for at in range(size + 1):
        found = many.below(np.array([at, at])).weight
        assert found[0] == pytest.approx(pieces.below(at / size), abs=1e-9)
        assert found[1] == float(at == size)
    assert many.met[0].sum() == len(pieces)


def test_late_feedback_and_too_little_of_it_go_the_long_way() -> None:
    setting = Setting((0.7,), price=0.2, horizon=700)
    costs = Costs.of_setting(setting)
    at_once, late = (over_shuffles(HilN, setting, STREAM, costs, 1, telling=Telling(delay=d)) for d in (0, 50))
    assert at_once.cost != late.cost
    with pytest.raises(ConfigError, match="no more than ANSWERS"):
        over_shuffles(HilF, setting, STREAM, costs, 1, telling=Telling(FeedbackKind.ANSWERS))


def test_thresholds_of_several_exits() -> None:
    stream = stream_of(make_records(np.random.default_rng(0), 60, 4))
    order = np.random.default_rng(1).permuted(np.tile(np.arange(60), (3, 1)), axis=1)
    exits = exits_by_threshold(stream, (0.6, None, 0.9), order)
    for rows, found in zip(order, exits, strict=True):
        np.testing.assert_array_equal(replay(FixedGates((0.6, None, 0.9)), stream, rows).exit, found)


@settings(max_examples=50)
@given(bits=st.integers(1, 7), steps=st.lists(st.tuples(st.integers(0, 128), st.floats(-8, 8)), max_size=40))
def test_many_weights_are_those_of_the_tree(bits: int, steps: list[tuple[int, float]]) -> None:
    tree, many = ThresholdTree(bits), ManyWeights(bits, 2)
    for at, log_factor in steps:
        where = min(at, tree.size)
        place = many.below(np.array([where, 0]))
        assert place.weight[0] == pytest.approx(tree.below(where), abs=1e-9)
        assert place.weight[1] == 0.0
        many.scale(place, np.exp([log_factor, 5.0]))
        tree.scale(where, float(np.exp(log_factor)))
        many.settle()
    for at in range(tree.size + 1):
        assert many.below(np.array([at, at])).weight[0] == pytest.approx(tree.below(at), abs=1e-9)
        assert many.below(np.array([at, at])).weight[1] == pytest.approx(at / tree.size)


def test_draws_are_handed_out_in_the_same_order() -> None:
    one, many = Draws(9), ManyDraws([9])
    expected = [one.next() for _ in range(3 * BLOCK)]
    np.testing.assert_array_equal(np.concatenate([many.block()[:, 0] for _ in range(3)]), expected)


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        ([LogisticDecider((1.0, 1.0, 0.0), 0.1)] * 2, "not logistic"),
        ([HilF(), HilN()], "one kind"),
        ([HilF()], "as many policies"),
        ([HilF(), HilF(bits=8)], "same bits"),
        ([HilF(bits=None)] * 2, "same bits"),
        ([HILCB(), HILCB(bins=5)], "same bins"),
        ([HedgeHI(), HedgeHI(bits=8)], "same bits"),
        ([LyapunovExp4(0.2), LyapunovExp4(0.2, bits=9)], "same bits"),
        ([H2T2(), H2T2(steps=5)], "same steps"),
        ([H2T2()] * 2, "for the classes 0 and 1; the exit says"),
    ],
)
def test_what_cannot_be_replayed_together_is_refused(policies: list[Any], message: str) -> None:
    orders = Orders.draw(700, 2)
    with pytest.raises(ConfigError, match=message):
        replay_many(policies, STREAM, orders.order, orders.policy_seed)
    assert not supports(LogisticDecider)
