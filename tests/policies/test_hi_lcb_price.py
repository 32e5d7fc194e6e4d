"""HI-LCB without a price: its bound, what it may not look at, and what not knowing costs."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from offramp.errors import ConfigError
from offramp.policies.base import Action, Feedback, Policy, View
from offramp.policies.hi_lcb import HILCB
from offramp.policies.hi_lcb_price import HILCBUnknownPrice
from offramp.policies.replay import replay
from offramp.policies.stream import Stream
from tests.policies import test_contract as contract
from tests.policies.instances import calibrated, price_of_exits

ROWS = 6000
STREAMS = [calibrated(np.random.default_rng(seed), ROWS) for seed in range(2)]


def priced(seed: int, rows: int = ROWS) -> Stream:
    """Prices around 0.3."""
    rng = np.random.default_rng(seed)
    return replace(calibrated(rng, rows), price=rng.uniform(0.1, 0.5, rows))


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
def test_policy_contract(check: Callable[[str, type[Policy]], None]) -> None:
    check(HILCBUnknownPrice.name, HILCBUnknownPrice)


def test_the_bound_is_the_mean_paid_less_its_width() -> None:
    policy = HILCBUnknownPrice(price=0.4)
    assert policy.price_bound == 0.0
    for sample in range(400):
        policy.decide(View(sample, 0, 0.6, label=1, price=0.9 if sample % 2 else None))
        policy.learn(Feedback(sample, 1, labels=(1, 0)))
    assert policy.heard == 400
    assert policy.paid == pytest.approx(400 * 0.65)
    assert policy.price_bound == pytest.approx(0.65 - math.sqrt(0.52 * math.log(400) / 400))


def test_a_price_counts_once_its_answer_has_come() -> None:
    policy = HILCBUnknownPrice(price=0.4)
    assert policy.decide(View(0, 0, 0.6, label=1)) is Action.GO_ON
    for told, heard in ((Feedback(0, 1), 0), (Feedback(1, 1, labels=(1, 1)), 0), (Feedback(0, 1, labels=(1, 1)), 1)):
        policy.learn(told)
        assert policy.heard == heard
    policy.learn(Feedback(0, 1, labels=(1, 1)))
    assert (policy.heard, policy.paid) == (1, 0.4)


def test_prices_of_what_stops_are_not_looked_at() -> None:
    stream = priced(0)
    found = replay(HILCBUnknownPrice(), stream)
    assert stream.price is not None
    hidden = replace(stream, price=np.where(found.exit > 0, stream.price, 0.99))
    np.testing.assert_array_equal(replay(HILCBUnknownPrice(), hidden).exit, found.exit)
    assert 0.1 < (found.exit > 0).mean() < 0.9


def test_not_knowing_the_price_costs_little() -> None:
    cost = {
        kind: np.mean([price_of_exits(one, replay(kind(0.3), one).exit, 0.3).mean() for one in STREAMS])
        for kind in (HILCB, HILCBUnknownPrice)
    }
    assert cost[HILCB] < cost[HILCBUnknownPrice] < 1.08 * cost[HILCB]


def test_prices_that_do_not_add_up_are_refused() -> None:
    body = json.loads(HILCBUnknownPrice(0.3).to_json())
    body["state"]["paid"] = 2.0
    with pytest.raises(ConfigError, match=r"0 prices below 1 do not add up to 2\.0"):
        HILCBUnknownPrice.from_json(json.dumps(body))
