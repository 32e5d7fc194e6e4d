"""What each bandit exit learns, and by which arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from offramp.policies.bandits.adaee import AdaEE
from offramp.policies.bandits.base import BanditPolicy
from offramp.policies.bandits.beem import BeemA, BeemC, fit_votes
from offramp.policies.bandits.ceebert import CeeBert
from offramp.policies.bandits.reliability import ReliabilityHead
from offramp.policies.bandits.splitee import SplitEE, SplitEEAudited, SplitEES
from offramp.policies.bandits.uat import Uat
from offramp.policies.bandits.ucb import UcbOptions
from offramp.policies.bandits.uee_ucb import UeeUcb
from offramp.policies.base import Action, Feedback, View
from offramp.policies.replay import replay
from offramp.policies.setting import LabelledRows, Setting
from tests.policies.bandits.streams import make_stream, setting_of

LAYERS = (0.1, 0.2, 0.3)


def means(policy: BanditPolicy, context: int = 0) -> list[float]:
    learner = policy.learner(context)
    return [total / heard if heard else math.nan for total, heard in zip(learner.sums, learner.heard, strict=True)]


def force(policy: BanditPolicy, arm: int, told: Feedback, price: float | None = None, context: int = 0) -> None:
    """Let the policy have played ``arm`` for the sample of the feedback, then tell it."""
    learner = policy.learner(context)
    learner.choose = lambda: arm  # type: ignore[method-assign]  # whatever it would have chosen
    policy.decide(View(told.sample, 0, told.confidences[0] or 0.0, price=price, context=context))
    policy.learn(told)


def test_uee_ucb_finds_the_exit_of_least_error_plus_cost() -> None:
    stream = make_stream(4, 6000, gain=0.1)
    setting = setting_of(stream, price=0.12, layer=0.02)
    policy = UeeUcb(setting, offload_once=True)
    found = replay(policy, stream)
    costs = np.array(setting.layer_costs) + np.array([0, 0, 0, 0.12])
    best = int(((~stream.right).mean(1) + costs).argmin())
    assert 0 < best < 3
    assert policy.learner().best == best
    assert (found.exit[3000:] == best).mean() > 0.9
    assert found.exit[0] == 3


def test_uee_ucb_estimates_differences_of_errors_without_labels() -> None:
    stream = make_stream(3, 4000)  # strong dominance holds
    policy = UeeUcb(Setting((None, None)), UcbOptions(exploration=50.0))  # explores for ever
    replay(policy, stream)
    errors = (~stream.right).mean(1)
    np.testing.assert_allclose(means(policy), errors[0] - errors, atol=0.03)


def test_adaee_arithmetic() -> None:
    policy = AdaEE(Setting((None,), price=0.2, layer_costs=(0.1, 0.15)))
    force(policy, 9, Feedback(0, 1, confidences=(0.5, 0.95)))
    force(policy, 8, Feedback(1, 1, confidences=(0.7, 0.6)), price=0.4)
    force(policy, 0, Feedback(2, 0, confidences=(0.3, None)))
    assert [means(policy)[arm] for arm in (9, 8, 0)] == pytest.approx([0.45 - 0.25, -0.45, 0.0])


def test_adaee_learns_every_context_alone() -> None:
    policy = AdaEE(Setting((None,), price=0.2))
    force(policy, 9, Feedback(0, 1, confidences=(0.5, 0.9)), context=3)
    assert policy.learner(3).rounds == 1
    assert policy.learner(0).rounds == 0


def test_adaee_opens_the_gate_where_going_on_gains_nothing() -> None:
    stream = make_stream(2, 3000, gain=0.0)
    policy = AdaEE(setting_of(stream, price=0.3), UcbOptions(exploration=0.2))
    found = replay(policy, stream)
    assert (found.exit[1500:] == 0).mean() > 0.9


@pytest.mark.parametrize(("confidence", "left", "reward"), [(0.8, 1, 0.8 - 0.2), (0.6, 2, 0.9 - 0.2 - 0.25)])
def test_splitee_arithmetic(confidence: float, left: int, reward: float) -> None:
    said = (0.5, confidence, 0.9 if left == 2 else None)
    policy = SplitEE(Setting((0.7, 0.7), price=0.25, layer_costs=LAYERS), offload_once=True)
    force(policy, 1, Feedback(0, left, confidences=said))
    assert policy.learner().heard == [0.0, 1.0, 0.0]
    assert means(policy)[1] == pytest.approx(reward)
    beside = SplitEES(Setting((0.7, 0.7), price=0.25, layer_costs=LAYERS), offload_once=True)
    force(beside, 1, Feedback(0, left, confidences=said))
    assert beside.learner().heard == [1.0, 1.0, 0.0]
    assert means(beside)[0] == pytest.approx((0.9 if left == 2 else 0.8) - 0.1 - 0.25)


def test_splitee_runs_to_the_split_and_no_exit_before_it_stops() -> None:
    policy = SplitEE(Setting((0.7, 0.7), layer_costs=LAYERS))
    policy.learner().choose = lambda: 1  # type: ignore[method-assign]  # whatever it would have chosen
    assert policy.decide(View(0, 0, 0.99)) is Action.GO_ON
    assert policy.decide(View(0, 1, 0.71)) is Action.STOP
    assert policy.decide(View(0, 1, 0.69)) is Action.GO_ON


def test_an_exit_that_is_off_is_no_split() -> None:
    policy = SplitEE(Setting((None, 0.7, None), layer_costs=(0.1, 0.2, 0.3, 0.4)))
    assert policy.splits == (1, 3)
    stream = make_stream(4, 300)
    assert set(replay(policy, stream).exit.tolist()) <= {1, 3}


def test_side_observations_learn_faster() -> None:
    stream = make_stream(5, 4000, gain=0.08)
    setting = setting_of(stream, price=0.1, layer=0.08)
    alone, beside = SplitEE.start(setting), SplitEES.start(setting)
    shares = [
        (found.exit[200:1500] == found.exit[-500:].max()).mean()
        for found in (replay(p, stream) for p in (alone, beside))
    ]
    assert sum(beside.learner().heard) > sum(alone.learner().heard)
    assert shares[1] >= shares[0] - 0.02


def test_audited_splits_are_weighed_by_their_propensity() -> None:
    policy = SplitEEAudited(Setting((0.7, 0.7), price=0.25, layer_costs=LAYERS), offload_once=True)
    agreeing = Feedback(0, 1, labels=(0, 1, 1), confidences=(0.5, 0.8, 0.9), propensity=0.1)
    force(policy, 1, agreeing)
    force(policy, 1, Feedback(1, 2, labels=(0, 1, 1), confidences=(0.5, 0.6, 0.9)))
    force(policy, 1, Feedback(2, 1, labels=(0, 1, None), confidences=(0.5, 0.8, None)))  # nobody looked
    learner = policy.learner()
    assert learner.heard[1] == pytest.approx(11)
    assert learner.sums[1] == pytest.approx(10 * (1 - 0.2) + (1 - 0.2 - 0.25))
    assert learner.rounds == 2


def test_audits_see_through_exits_that_are_too_sure_of_themselves() -> None:
    stream = make_stream(2, 6000, gain=0.3)
    sure = stream.confidence.copy()
    sure[0] = 0.99  # and right in 60 % of the cases
    stream = type(stream)(sure, stream.predicted, stream.truth)
    setting = Setting((0.7,), price=0.1, layer_costs=(0.0, 0.0))
    fooled, audited = SplitEE.start(setting), SplitEEAudited.start(setting)
    assert (replay(fooled, stream).exit[-1000:] == 0).mean() > 0.8
    assert (replay(audited, stream, audit_share=0.2).exit[-1000:] == 0).mean() < 0.2


def test_ceebert_arithmetic() -> None:
    policy = CeeBert(Setting((None, None), price=0.25, layer_costs=LAYERS))
    force(policy, 0, Feedback(0, 1, confidences=(0.5, 0.8, None)))
    force(policy, 1, Feedback(1, 2, confidences=(0.5, 0.8, 0.9)))
    force(policy, 2, Feedback(2, 0, confidences=(0.9, None, None)))
    assert means(policy)[:3] == pytest.approx([0.3 - 0.1 - 0.25, 0.4 - 0.2 - 0.5, 0.0])


def test_uat_reward_is_discounted_by_what_is_unreliable() -> None:
    head = ReliabilityHead(-2.0, -0.1, 1.0)
    policy = Uat(Setting((None,), layer_costs=(0.1, 0.2), price=0.3), head)
    force(policy, 4, Feedback(0, 1, confidences=(0.2, 0.9)))
    unreliable = 1 / (1 + math.exp(-(-1.8 - 0.1 + 1.0)))
    assert means(policy)[4] == pytest.approx(0.9 * (1 - unreliable) - 0.2 - 0.3)


def test_the_reliability_head_is_a_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    stream = make_stream(3, 1500)
    head = ReliabilityHead.fit(stream.confidence, stream.right)
    rows = np.stack([stream.confidence.ravel(), np.repeat(np.arange(3), 1500)], 1)
    other = LogisticRegression(C=1e6).fit(rows, ~stream.right.ravel())
    here = [head(float(c), int(e)) for c, e in rows[::97]]
    np.testing.assert_allclose(here, other.predict_proba(rows[::97])[:, 1], atol=0.05)


def votes_by_hand(rows: LabelledRows, weights: list[float]) -> NDArray[np.float64]:
    scores = np.zeros((len(weights), len(rows.truth)))
    for row in range(len(rows.truth)):
        score = 0.0
        for index, weight in enumerate(weights):
            if not index or rows.predicted[index, row] != rows.predicted[index - 1, row]:
                score = 0.0
            score += weight * float(rows.confidence[index, row])
            scores[index, row] = score
    return scores


@given(seed=st.integers(0, 2**16), rows=st.integers(1, 30), exits=st.integers(2, 4))
def test_beem_leaves_from_the_smallest_score_that_errs_no_more_than_the_last_exit(
    seed: int, rows: int, exits: int
) -> None:
    rng = np.random.default_rng(seed)
    drawn = LabelledRows(
        (rng.integers(1, 6, (exits, rows)) / 5).astype(np.float32),
        rng.integers(2, size=(exits, rows)),
        rng.integers(2, size=rows),
    )
    weights = rng.random(exits - 1)
    alphas = fit_votes(drawn, weights)
    scores, limit = votes_by_hand(drawn, weights.tolist()), (~drawn.right[-1]).mean()
    there = np.ones(rows, bool)
    for index, alpha in enumerate(alphas):
        kept = [
            s for s in scores[index][there]
            if (~drawn.right[index])[there & (scores[index] >= s)].mean() <= limit + 1e-15
        ]  # fmt: skip
        assert alpha == (min(kept) if kept else math.inf)
        there &= scores[index] < alpha


@pytest.mark.parametrize("kind", [BeemC, BeemA])
def test_beem_decides_as_its_scores_say(kind: type[BeemC | BeemA]) -> None:
    stream = make_stream(4, 500)
    policy = kind.start(setting_of(stream))
    scores = votes_by_hand(stream.labelled, list(policy.weights))
    reached = np.vstack([scores >= np.array(policy.alphas)[:, None], np.ones(500, bool)])
    found = replay(policy, stream)
    np.testing.assert_array_equal(found.exit, reached.argmax(0))
    assert found.accuracy > stream.right[-1].mean() - 0.03


def test_weights_of_beem() -> None:
    stream = make_stream(3, 200)
    rows = stream.labelled
    np.testing.assert_allclose(BeemC.weigh(Setting((None, None)), rows), [1 / 3, 2 / 3])
    np.testing.assert_allclose(BeemC.weigh(Setting((None, None), layer_costs=(1, 3, 4)), rows), [1 / 4, 3 / 4])
    np.testing.assert_allclose(BeemA.weigh(Setting((None, None)), rows), rows.right[:-1].mean(1))
