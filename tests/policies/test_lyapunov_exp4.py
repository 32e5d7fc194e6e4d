"""Lyapunov-EXP4 keeps its budget, finds a good threshold for it, and names the price of going on."""

from __future__ import annotations

import numpy as np
import pytest

from offramp.errors import ConfigError
from offramp.policies.lyapunov_exp4 import LyapunovExp4
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream
from tests.policies.instances import calibrated, worst

ROWS = 6000


@pytest.mark.parametrize("budget", [0.1, 0.3, 0.6])
@pytest.mark.parametrize("make", [calibrated, worst])
def test_the_mean_spent_exceeds_the_budget_by_no_more_than_the_queue(make: object, budget: float) -> None:
    assert callable(make)
    policy = LyapunovExp4(budget, ROWS, seed=1)
    went = replay(policy, make(np.random.default_rng(0), ROWS)).exit.sum()
    assert went <= budget * ROWS + policy.queue + 1e-6
    assert policy.queue < 0.06 * ROWS


def test_it_sends_the_least_sure_ones() -> None:
    stream = calibrated(np.random.default_rng(0), ROWS)
    found = replay(LyapunovExp4(0.3, ROWS, seed=1), stream)
    half = slice(ROWS // 2, None)
    sent = found.exit[half] == 1
    confidence = stream.confidence[0][half]
    assert confidence[sent].mean() < confidence[~sent].mean() - 0.15
    random = 0.3 + 0.7 * stream.right[0].mean()  # accuracy were 30 % sent at random
    assert found.correct[half].mean() > random + 0.03


def test_views_may_price_what_they_use() -> None:
    stream = calibrated(np.random.default_rng(0), ROWS)
    priced = Stream(stream.confidence, stream.predicted, stream.truth, price=np.full(ROWS, 0.02))
    policy = LyapunovExp4(0.005, ROWS, weight=5.0, seed=1)
    found = replay(policy, priced)
    assert 0.02 * found.exit.mean() <= 0.005 + policy.queue / ROWS + 1e-9
    assert policy.shadow_price == policy.queue / 5.0 > 0


def test_without_a_budget_it_refuses() -> None:
    with pytest.raises(ConfigError, match="keeps a budget of going on; the setting has none"):
        LyapunovExp4.start(Setting((0.5,)))
