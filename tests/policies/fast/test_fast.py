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
from offramp.policies.fast.replay import replay_many, supports
from offramp.policies.fast.thresholds import exits_by_threshold
from offramp.policies.fast.weights import ManyWeights
from offramp.policies.fixed import FixedGates
from offramp.policies.gain import GainDecider
from offramp.policies.h2t2 import H2T2
from offramp.policies.hi_lcb import HILCB, HILCBLite
from offramp.policies.hil_f import HilF
from offramp.policies.hil_n import HilN
from offramp.policies.hindsight import HindsightThreshold
from offramp.policies.orders import Orders
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.policies.shuffled import Telling, over_shuffles
from offramp.policies.stream import Stream, stream_of
from offramp.policies.threshold_tree import ThresholdTree
from tests.support.instances import make_records

KINDS: list[type[Policy]] = [FixedGates, GainDecider, HILCB, HILCBLite, HilF, HilN, HindsightThreshold]
STREAM = stream_of(make_records(np.random.default_rng(0), 700, 2, levels=3))
PRICED = replace(STREAM, price=np.random.default_rng(1).uniform(0, 0.6, 700))
PRICES = (0.05, 0.2, 0.5)


@pytest.mark.parametrize("stream", [STREAM, PRICED, STREAM.published()], ids=["one price", "prices", "published"])
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_the_decisions_are_those_of_the_policy(kind: type[Policy], stream: Stream) -> None:
    orders = Orders.draw(700, 3, seed=5)
    starts = [Setting((0.7,), price=price, horizon=700, rows=STREAM.labelled) for price in PRICES]
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
    setting = Setting((0.7,), price=0.2, horizon=700, rows=STREAM.labelled)
    costs = Costs.of_setting(setting)
    fast = over_shuffles(kind, setting, STREAM, costs, 2, seed=3)
    monkeypatch.setattr("offramp.policies.shuffled.supports", lambda kind: False)
    slow = over_shuffles(kind, setting, STREAM, costs, 2, seed=3)
    for name in ("cost", "accuracy", "went_on", "audited"):
        np.testing.assert_allclose(getattr(fast, name), getattr(slow, name), rtol=0, atol=1e-12)


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
        ([H2T2(price=0.1)] * 2, "not h2t2"),
        ([HilF(), HilN()], "one kind"),
        ([HilF()], "as many policies"),
        ([HilF(), HilF(bits=8)], "same bits"),
        ([HilF(bits=None)] * 2, "same bits"),
        ([HILCB(), HILCB(bins=5)], "same bins"),
    ],
)
def test_what_cannot_be_replayed_together_is_refused(policies: list[Any], message: str) -> None:
    orders = Orders.draw(700, 2)
    with pytest.raises(ConfigError, match=message):
        replay_many(policies, STREAM, orders.order, orders.policy_seed)
    assert not supports(H2T2)
