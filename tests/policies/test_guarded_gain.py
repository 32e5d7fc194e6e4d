"""Ours: near the best where its rows tell the truth, within its margin of the baseline where they do not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from offramp.errors import ConfigError
from offramp.policies.base import Action, Feedback, View
from offramp.policies.drift_watch import DriftWatch
from offramp.policies.guarded_gain import GuardedGain
from offramp.policies.hindsight import best_threshold
from offramp.policies.replay import PolicyReplay, replay
from offramp.policies.setting import LabelledRows, Setting
from offramp.policies.stream import Stream
from offramp.policies.warm_gain import WarmGain
from tests.policies.instances import calibrated, price_of_exits, worst

ROWS = 4000
WARM = calibrated(np.random.default_rng(99), 800, remote=0.95)


def run(stream: Stream, price: float, seed: int = 0, **more: object) -> tuple[GuardedGain, PolicyReplay]:
    setting = replace(Setting((0.85,), price=price, horizon=len(stream), rows=WARM.labelled), **more)  # type: ignore[arg-type]
    policy = GuardedGain.start(setting, seed)
    return policy, replay(policy, stream, audit_share=0.01, audit_seed=seed)


def excess(stream: Stream, policy: GuardedGain, found: PolicyReplay, price: float) -> np.ndarray:
    """(n,) true cost above the baseline so far."""
    base = (stream.confidence[0] < policy.baseline).astype(int)
    paid = price_of_exits(stream, found.exit, price) - price_of_exits(stream, base, price)
    return np.asarray(np.cumsum(paid))


@pytest.mark.parametrize("price", [0.05, 0.1, 0.2, 0.3, 0.45])
def test_it_is_near_the_best_threshold_when_the_last_exit_errs(price: float) -> None:
    stream = calibrated(np.random.default_rng(1), ROWS, remote=0.95)
    _, found = run(stream, price)
    wrong = ~stream.right
    best = best_threshold(stream.confidence[0], wrong[0], price + wrong[1])
    fixed = price_of_exits(stream, (stream.confidence[0] < best).astype(int), price).mean()
    assert price_of_exits(stream, found.exit, price).mean() < 1.03 * fixed


@pytest.mark.parametrize("price", [0.05, 0.2, 0.4])
@pytest.mark.parametrize("seed", range(4))
def test_it_keeps_its_margin_on_streams_that_turn(price: float, seed: int) -> None:
    warm = calibrated(np.random.default_rng(98), 800)  # the last exit is right: gains are known exactly
    stream = worst(np.random.default_rng(seed), ROWS)
    policy, found = run(stream, price, seed, rows=warm.labelled)
    rounds = np.arange(1, ROWS + 1)
    account = policy.account
    chance = 25.0  # its own coin, over 4,000 samples
    assert (excess(stream, policy, found, price) <= account.margin * rounds + account.slack + chance).all()


def test_the_baseline_is_the_cheapest_of_never_always_and_the_plan() -> None:
    for price, expected in ((0.0, np.inf), (0.15, 0.85), (0.6, 0.0)):
        assert run(WARM.take(np.arange(2)), price)[0].baseline == expected


def test_a_budget_sets_the_price() -> None:
    stream = calibrated(np.random.default_rng(2), ROWS, remote=0.95)
    policy, found = run(stream, 0.0, budget=0.2)
    assert policy.dual is not None
    assert found.exit.mean() <= 0.2 + (1.0 + policy.dual.step) / (policy.dual.step * ROWS)
    assert found.exit[ROWS // 2 :].mean() == pytest.approx(0.2, abs=0.03)
    sent = found.exit == 1
    assert stream.confidence[0][sent].mean() < stream.confidence[0][~sent].mean() - 0.1


def test_the_price_of_the_view_counts() -> None:
    policy = run(WARM.take(np.arange(2)), 0.2)[0]
    view = View(10, 0, 0.7, label=1, runner_up=0.3)
    gain = policy.gain(view)
    assert policy.decide(view._replace(price=gain + 0.01)) is Action.STOP
    assert policy.decide(view._replace(price=gain - 0.01)) is Action.GO_ON


def test_a_change_is_noticed_and_blamed_on_the_last_exit_then_forgiven() -> None:
    clean = calibrated(np.random.default_rng(3), ROWS, remote=0.95)
    policy, _ = run(clean, 0.1)
    assert policy.watch.changes == 0
    broken = calibrated(np.random.default_rng(4), ROWS, remote=0.2)
    view = View(10**6, 0, 0.7, label=1, runner_up=0.3)
    before = policy.gain(view)
    replay(policy, broken, audit_share=0.02)
    assert (policy.watch.changes, policy.watch.drifted) == (1, 1)
    assert policy.gain(view) < before - 0.2
    replay(policy, clean, audit_share=0.02)
    assert policy.watch.drifted == 0
    assert policy.gain(view) == pytest.approx(before, abs=0.05)


def test_labels_of_a_few_say_which_exit_broke() -> None:
    rng = np.random.default_rng(6)
    clean = calibrated(rng, 2000, remote=0.95)
    broken = calibrated(rng, ROWS, remote=0.2)
    broken = replace(broken, confidence=np.stack([broken.confidence[0], np.full(ROWS, 0.95, np.float32)]))
    setting = Setting((0.99,), price=0.02, horizon=ROWS, rows=WARM.labelled)  # the baseline goes on almost always
    paid, policies = [], []
    for labels in (0.0, 0.05):
        policy = GuardedGain.start(setting, 0)
        replay(policy, clean, audit_share=0.02, label_share=labels)
        found = replay(policy, broken, audit_share=0.02, label_share=labels)
        paid.append(price_of_exits(broken, found.exit, 0.02).mean())
        policies.append(policy)
    assert [policy.watch.drifted for policy in policies] == [1, 1]
    assert policies[0].watch.shift == 0.0
    assert policies[1].watch.shift < -0.5
    assert paid[1] < paid[0] - 0.1
    again = GuardedGain.from_json(policies[1].to_json())
    assert (again.watch.shift, again.account.bound) == (policies[1].watch.shift, policies[1].account.bound)


def test_less_disagreement_is_a_change_too() -> None:
    policy, _ = run(calibrated(np.random.default_rng(5), ROWS, remote=0.95), 0.3)
    for sample in range(400):
        policy.decide(View(10**6 + sample, 0, 0.55, label=1, runner_up=0.45))
        policy.learn(Feedback(10**6 + sample, 1, labels=(1, 1), confidences=(0.55, 0.95)))
    assert policy.watch.drifted == -1


def test_audits_count_by_their_propensity() -> None:
    warm = WarmGain.fit(WARM.labelled, 2)
    often, seldom = DriftWatch(warm, 2), DriftWatch(warm, 2)
    for index in range(300):  # half gain 1 and are seen always, half lose 1 and are seen one time in ten
        for watch in (often, seldom):
            watch.see(0, False, 1.0, 0.0, 1.0)
            if watch is often or index % 10 == 0:
                watch.see(0, False, -1.0, 0.0, 1.0 if watch is often else 0.1)
    ratio = [watch._sums[0][2] / watch._sums[0][0] for watch in (often, seldom)]
    assert ratio[0] == pytest.approx(ratio[1], abs=0.01)


def test_the_truth_counts_where_it_is_told() -> None:
    policy = run(WARM.take(np.arange(2)), 0.2)[0]
    policy.decide(View(7, 0, 0.6, label=1, runner_up=0.4))
    told = Feedback(7, 1, labels=(1, 0), confidences=(0.6, 0.9), truth=1)
    assert policy._gained(told, 1, True) == -1.0
    assert policy._gained(told._replace(truth=None), 1, True) > 0.0


def test_without_labelled_rows_it_refuses() -> None:
    with pytest.raises(ConfigError, match="begins from labelled rows, but the setting has none"):
        GuardedGain.start(Setting((0.5,)))


def test_models_of_the_gain_survive_and_must_be_whole() -> None:
    warm = WarmGain.fit(WARM.labelled, 2)
    assert WarmGain.from_plain(warm.plain()) == warm
    for wrong in ({"late": (0.1,) * 9}, {"rescue": ()}, {"off": (0.0,)}):
        with pytest.raises(ConfigError, match="do not fit each other"):
            WarmGain.from_plain(warm.plain() | wrong)
    with pytest.raises(ConfigError, match="not a model of the gain"):
        WarmGain.from_plain({"rescue": (1.0,)})


def test_rows_that_never_differ_or_have_one_class_will_do() -> None:
    same = LabelledRows(np.full((2, 50), 0.8), np.zeros((2, 50), int), np.arange(50) % 2)
    warm = WarmGain.fit(same, 2)
    assert warm.estimate(True, 0.9) == 0.0
    assert abs(warm.gain(0.8, 0.2, 0)) < 0.05


def test_an_estimate_of_the_gain_follows_the_rows() -> None:
    warm = WarmGain.fit(WARM.labelled, 2)
    for confidence in (0.55, 0.7, 0.9):
        assert warm.gain(confidence, 1 - confidence, 1) == pytest.approx(0.95 - confidence, abs=0.08)
