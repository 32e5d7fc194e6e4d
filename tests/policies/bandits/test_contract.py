"""The bandit exits keep the rules of the seam, in settings with all they may ask for."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from offramp.errors import ConfigError
from offramp.policies.bandits.adaee import AdaEE, Ucbee
from offramp.policies.bandits.base import PENDING, BanditPolicy
from offramp.policies.bandits.beem import Beem, BeemA, BeemC
from offramp.policies.bandits.ceebert import CeeBert
from offramp.policies.bandits.splitee import ISplitEE, SplitEE, SplitEEAudited, SplitEES
from offramp.policies.bandits.uat import Uat
from offramp.policies.bandits.uee_ucb import UeeUcb
from offramp.policies.base import Feedback, Policy, View
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from tests.policies import test_contract as contract
from tests.policies.bandits.streams import make_stream, setting_of

KINDS: list[type[Policy]] = [
    AdaEE, BeemA, BeemC, CeeBert, ISplitEE, SplitEE, SplitEEAudited, SplitEES, Uat, Ucbee, UeeUcb,
]  # fmt: skip
STREAM = make_stream(4, 400)
SETTING = setting_of(STREAM)


@pytest.mark.parametrize("check", contract.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_policy_contract(kind: type[Policy], check: Callable[[str, type[Policy]], None]) -> None:
    check(kind.name, kind)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_learning_goes_on_from_json(kind: type[Policy]) -> None:
    whole, split = kind.start(SETTING, seed=1), kind.start(SETTING, seed=1)
    one, other = STREAM.take(np.arange(200)), STREAM.take(np.arange(200, 400))
    for policy in (whole, split):
        replay(policy, one, delay=20)
    split = kind.from_json(split.to_json())
    np.testing.assert_array_equal(replay(whole, other).exit, replay(split, other).exit)
    assert split.to_json() == whole.to_json()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_memory_is_bounded_when_no_feedback_comes(kind: type[Policy]) -> None:
    policy = kind.start(SETTING)
    for sample in range(3 * PENDING):
        policy.decide(View(sample, 0, 0.1, label=0))
    kept = policy._standing if isinstance(policy, Beem) else policy._pending  # type: ignore[attr-defined]
    assert len(kept) <= PENDING


@pytest.mark.parametrize("kind", [kind for kind in KINDS if issubclass(kind, BanditPolicy)], ids=lambda kind: kind.name)
def test_feedback_out_of_order_twice_or_without_what_is_needed(kind: type[BanditPolicy]) -> None:
    policy = kind.start(SETTING)
    for sample in range(4):
        policy.decide(View(sample, 0, 0.5))
    whole = Feedback(2, 3, labels=(0, 0, 0, 0), confidences=(0.5, 0.6, 0.7, 0.8))
    policy.learn(whole)
    rounds = policy.learner().rounds
    assert rounds == 1
    policy.learn(whole)
    policy.learn(whole._replace(sample=99))
    policy.learn(Feedback(1, 3))
    policy.learn(Feedback(0, 3, labels=(None,) * 4, confidences=(None,) * 4))
    assert policy.learner().rounds == rounds


@pytest.mark.parametrize("kind", [kind for kind in KINDS if issubclass(kind, BanditPolicy)], ids=lambda kind: kind.name)
def test_rounds_are_counted_once(kind: type[BanditPolicy]) -> None:
    policy = kind.start(SETTING)
    replay(policy, STREAM, audit_share=1.0)
    learner = policy.learner()
    fade = policy.options.discount
    assert learner.rounds == pytest.approx(400 if fade == 1 else (1 - fade**400) / (1 - fade))
    if not getattr(policy, "side_observations", False):
        assert sum(learner.heard) == pytest.approx(learner.rounds)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if issubclass(kind, BanditPolicy)], ids=lambda kind: kind.name)
def test_a_state_of_other_exits_is_refused(kind: type[BanditPolicy]) -> None:
    policy = kind.start(SETTING)
    replay(policy, STREAM.take(np.arange(50)))
    body = policy.to_json().replace('"asked": [', '"asked": [0, ')
    with pytest.raises(ConfigError, match="not a state of policy"):
        kind.from_json(body)


@pytest.mark.parametrize("kind", [Uat, BeemA, BeemC], ids=lambda kind: kind.name)
def test_what_needs_labelled_rows_says_so(kind: type[Policy]) -> None:
    with pytest.raises(ConfigError, match=f"policy '{kind.name}' .* the setting has none"):
        kind.start(Setting((None,)))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_one_early_exit_is_enough(kind: type[Policy]) -> None:
    stream = make_stream(2, 60)
    found = replay(kind.start(setting_of(stream)), stream)
    assert set(found.exit.tolist()) <= {0, 1}


@pytest.mark.parametrize("kind", [AdaEE, CeeBert, SplitEE, UeeUcb], ids=lambda kind: kind.name)
def test_repr_reproduces(kind: type[BanditPolicy]) -> None:
    policy = kind(Setting((0.5, None), price=0.1))
    names: dict[str, object] = {kind.__name__: kind, "Setting": Setting, "UcbOptions": type(policy.options)}
    assert repr(eval(repr(policy), names)) == repr(policy)
