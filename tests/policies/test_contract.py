"""Every policy, found by entry point, keeps the rules of the seam."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import entry_points

import numpy as np
import pytest

from offramp.errors import ConfigError
from offramp.policies.base import Action, Feedback, Policy, View
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.policies.stream import stream_of
from tests.support.instances import make_records

POLICIES: dict[str, type[Policy]] = {point.name: point.load() for point in entry_points(group="offramp.policies")}
SETTING = Setting((0.6, None, 0.9), price=0.3)
STREAM = stream_of(make_records(np.random.default_rng(0), 80, 4))


def views(count: int, seed: int = 0) -> list[View]:
    rng = np.random.default_rng(seed)
    return [View(i, int(rng.integers(3)), float(np.float32(rng.random()))) for i in range(count)]


def is_named_after_its_entry_point(name: str, kind: type[Policy]) -> None:
    assert kind.name == name


def decides_with_an_action(name: str, kind: type[Policy]) -> None:
    policy = kind.start(SETTING)
    assert all(isinstance(policy.decide(view), Action) for view in views(50))


def same_seed_same_decisions(name: str, kind: type[Policy]) -> None:
    one, two = (replay(kind.start(SETTING, seed=5), STREAM) for _ in range(2))
    np.testing.assert_array_equal(one.exit, two.exit)


def goes_on_from_json_as_if_never_interrupted(name: str, kind: type[Policy]) -> None:
    whole = kind.start(SETTING, seed=3)
    split = kind.start(SETTING, seed=3)
    for index, view in enumerate(views(60)):
        if index == 30:
            split = kind.from_json(json.dumps(json.loads(split.to_json())))
        assert whole.decide(view) is split.decide(view)
        for policy in (whole, split):
            policy.learn(Feedback(view.sample, view.exit, index % 3 == 0, 0.01))


def takes_late_missing_duplicate_and_unknown_feedback(name: str, kind: type[Policy]) -> None:
    policy = kind.start(SETTING)
    for view in views(20):
        policy.decide(view)
    for sample in (19, 3, 3, 0, 12345):
        policy.learn(Feedback(sample, 1, correct=True, latency_s=0.5))
    policy.learn(Feedback(5, 3))
    assert isinstance(policy.decide(views(1)[0]), Action)


def refuses_a_foreign_state(name: str, kind: type[Policy]) -> None:
    for text in ("", "[]", "{}", '{"name": "another", "thresholds": []}'):
        with pytest.raises(ConfigError, match="not a state of policy"):
            kind.from_json(text)


def touches_no_global_random_state(name: str, kind: type[Policy]) -> None:
    before = np.random.get_state(legacy=False)["state"]["pos"]  # noqa: NPY002
    replay(kind.start(SETTING, seed=1), STREAM)
    assert np.random.get_state(legacy=False)["state"]["pos"] == before  # noqa: NPY002


CHECKS: list[Callable[[str, type[Policy]], None]] = [
    is_named_after_its_entry_point,
    decides_with_an_action,
    same_seed_same_decisions,
    goes_on_from_json_as_if_never_interrupted,
    takes_late_missing_duplicate_and_unknown_feedback,
    refuses_a_foreign_state,
    touches_no_global_random_state,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(POLICIES))
def test_policy_contract(name: str, check: Callable[[str, type[Policy]], None]) -> None:
    check(name, POLICIES[name])
