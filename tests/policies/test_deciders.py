"""Deciders that were fitted beforehand: on the two highest probabilities, and on the gain."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from offramp.confidence.gates import GainGate
from offramp.errors import ConfigError
from offramp.policies.base import Action, View
from offramp.policies.gain import GainDecider
from offramp.policies.logistic import PUBLISHED, LogisticDecider
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream, stream_of
from offramp.records.fit_gates import fit_gates
from tests.support.instances import make_records

RECORDS = make_records(np.random.default_rng(0), 1500, 2)
STREAM = stream_of(RECORDS)


def setting(price: float = 0.1, stream: Stream = STREAM) -> Setting:
    return Setting((None,), price=price, rows=stream.labelled)


def test_the_fit_is_that_of_scikit_learn() -> None:
    assert STREAM.runner_up is not None
    both = np.stack([STREAM.confidence[0], STREAM.runner_up[0]], 1)
    other = LogisticRegression(C=1.0, max_iter=1000).fit((both - both.mean(0)) / both.std(0), STREAM.right[0])
    expected = other.predict_proba((both - both.mean(0)) / both.std(0))[:, 1]
    policy = LogisticDecider.start(setting())
    ours = [policy.right(first, second) for first, second in both.tolist()]
    np.testing.assert_allclose(ours, expected, atol=0.02)


@pytest.mark.parametrize("price", [0.0, 0.05, 0.1, 0.3, 0.9])
def test_it_costs_what_the_best_threshold_on_its_score_costs(price: float) -> None:
    policy = LogisticDecider.start(setting(price))
    found = replay(policy, STREAM)
    wrong = ~STREAM.right
    cost = (price * found.exit + ~found.correct).mean()
    assert STREAM.runner_up is not None
    score = np.array(list(map(policy.right, STREAM.confidence[0].tolist(), STREAM.runner_up[0].tolist())))
    cuts = [-np.inf, np.inf, *np.quantile(score, np.linspace(0, 1, 101))]
    assert cost <= min(np.where(score >= cut, wrong[0], price + wrong[1]).mean() for cut in cuts) + 1e-12


def test_with_a_perfect_remote_the_published_rule_is_a_price_of_one_half() -> None:
    for local_model, (w0, w1, w2) in PUBLISHED.items():
        policy = LogisticDecider.published(local_model)
        for p1, p2 in [(0.99, 0.0), (0.9, 0.05), (0.8, 0.2), (0.6, 0.3), (0.4, 0.3)]:
            accepts = 1.0 / (1.0 + np.exp(-(w0 + w1 * p1 + w2 * p2))) >= 0.5
            assert (policy.decide(View(0, 0, p1, runner_up=p2)) is Action.STOP) == accepts


def test_a_view_may_carry_its_own_price() -> None:
    policy = LogisticDecider((0.0, 1.0, 0.0), price=0.9)
    assert policy.decide(View(0, 0, 0.5)) is Action.STOP
    assert policy.decide(View(0, 0, 0.5, price=0.1)) is Action.GO_ON


@pytest.mark.parametrize("price", [0.02, 0.1, 0.3])
def test_gain_decides_as_the_gate_at_that_price(price: float) -> None:
    (gate,) = fit_gates(RECORDS, kind="gain")
    assert isinstance(gate, GainGate)
    seen = stream_of(RECORDS, gates=[gate])
    found = replay(GainDecider.start(Setting((None,), price=price)), seen)
    stops = seen.confidence[0] >= np.float32(gate.at_price(price).threshold or 0.0)
    np.testing.assert_array_equal(found.exit == 0, stops)
    assert 0 < stops.sum() < len(stops)


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda: LogisticDecider.start(Setting((None,))), "has none"),
        (lambda: LogisticDecider.start(Setting((None, None), rows=STREAM.labelled)), "one early exit"),
        (lambda: LogisticDecider.published("vgg"), "no published weights for 'vgg'"),
        (lambda: LogisticDecider((0.0, np.nan, 0.0), 0.1), "finite"),
        (lambda: GainDecider(1.0), "must lie in"),
    ],
)
def test_bad_input(made: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made()


@pytest.mark.parametrize("policy", [GainDecider(0.25), LogisticDecider((0.1, 2.0, -1.0), 0.25, 0.125)], ids=repr)
def test_state_and_repr_reproduce(policy: GainDecider | LogisticDecider) -> None:
    assert repr(type(policy).from_json(policy.to_json())) == repr(policy) == repr(eval(repr(policy)))
