"""H2T2: the closed form for calibrated scores, and the learner near it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import ConfigError
from offramp.policies.base import Action, Feedback, View
from offramp.policies.h2t2 import H2T2, two_thresholds
from offramp.policies.setting import Setting

SCORES = (np.arange(20_000) + 0.5) / 20_000


def expected_cost(low: float, high: float, price: float, positive: float, negative: float) -> float:
    """Of uniform, calibrated scores."""
    zero, one = np.less(SCORES, low), np.greater_equal(SCORES, high)
    return float(np.select([zero, one], [negative * SCORES, positive * (1 - SCORES)], price).mean())


def test_the_optimum_for_uniform_scores_is_known() -> None:
    assert expected_cost(*two_thresholds(0.2), 0.2, 1.0, 1.0) == pytest.approx(0.16, abs=1e-6)


@given(st.floats(0.01, 0.9), st.floats(0.2, 3.0), st.floats(0.2, 3.0))
def test_the_closed_form_is_the_best_of_all_pairs(price: float, positive: float, negative: float) -> None:
    best = np.minimum(np.minimum(negative * SCORES, positive * (1 - SCORES)), price).mean()
    found = expected_cost(*two_thresholds(price, positive, negative), price, positive, negative)
    assert found == pytest.approx(best, abs=1e-3)


def cost_of_learner(positive: float, negative: float, price: float, rows: int = 12_000) -> float:
    """Mean cost of the last half of a stream of uniform, calibrated scores; what is explored left out."""
    rng = np.random.default_rng(0)
    policy = H2T2(price, positive, negative, horizon=rows, seed=1)
    paid = []
    for sample, score in enumerate(rng.random(rows).tolist()):
        truth = int(rng.random() < score)
        label = int(score >= 0.5)
        view = View(sample, 0, score if label else 1 - score, label=label)
        on = policy.decide(view) is Action.GO_ON
        said = policy.answer(view)
        explored = policy._pending.get(sample) is not None
        policy.learn(Feedback(sample, 1, labels=(label, truth)))
        if sample >= rows // 2 and not explored:
            paid.append(price if on else positive * (said == 1 and not truth) + negative * (said == 0 and truth))
    return float(np.mean(paid))


def test_the_learner_comes_near_the_optimum() -> None:
    assert 0.14 < cost_of_learner(1.0, 1.0, 0.2) < 0.185


def test_dear_misses_make_it_say_one_where_the_exit_says_zero() -> None:
    policy = H2T2(0.5, false_positive=0.2, false_negative=1.0, horizon=4000, seed=0)
    rng = np.random.default_rng(0)
    for sample in range(4000):
        truth = int(rng.random() < 0.4)
        policy.decide(View(sample, 0, 0.6, label=0))
        policy.learn(Feedback(sample, 1, labels=(0, truth)))
    zero, on, one = policy.decides(0.4)
    assert one > 0.9
    assert zero + on + one == pytest.approx(1.0)
    answers = []
    for sample in range(4000, 4100):
        view = View(sample, 0, 0.6, label=0)
        if policy.decide(view) is Action.STOP:
            answers.append(policy.answer(view))
    assert set(answers) == {1}


def test_what_it_cannot_do_is_refused() -> None:
    with pytest.raises(ConfigError, match="for 2 classes; the setting has 10"):
        H2T2.start(Setting((0.5,), classes=10))
    with pytest.raises(ConfigError, match="for the classes 0 and 1, the exit says 7"):
        H2T2().decide(View(0, 0, 0.5, label=7))
    with pytest.raises(ConfigError, match="must cost more than 0"):
        H2T2(false_positive=0.0)
    with pytest.raises(ConfigError, match="may cost differently where there are 2 classes"):
        Setting((0.5,), classes=3, mistake_costs=(1.0, 0.5))


def test_the_setting_says_what_mistakes_cost() -> None:
    policy = H2T2.start(Setting((0.5,), price=0.2, mistake_costs=(0.5, 2.0)))
    assert (policy.false_positive, policy.false_negative) == (0.5, 2.0)
