"""Every policy, found by entry point, keeps the rules of the seam, in a setting it accepts."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib.metadata import entry_points

import numpy as np
import pytest

from offramp.errors import ConfigError
from offramp.policies.base import Action, Feedback, Policy, View
from offramp.policies.learner import restore
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream, stream_of
from tests.policies.difficulty.streams import make_stream, setting_of
from tests.support.instances import make_records

POLICIES: dict[str, type[Policy]] = {point.name: point.load() for point in entry_points(group="offramp.policies")}
SETTING = Setting((0.6, None, 0.9), price=0.3)
STREAM = stream_of(make_records(np.random.default_rng(0), 80, 4))
#: with one early exit, two classes, features, labelled rows and a budget
TWO = replace(
    stream_of(make_records(np.random.default_rng(0), 400, 2, classes=2)),
    features=np.random.default_rng(1).normal(size=(400, 2)).astype(np.float32),
)
TWO_SETTING = Setting((0.6,), price=0.3, horizon=400, budget=0.3, rows=TWO.labelled)

#: with three exits, features that tell difficulty, and labelled rows with a training history
ROUTED = make_stream(200)
ROUTED_SETTING = setting_of(ROUTED)


def views(count: int, seed: int = 0) -> list[View]:
    rng = np.random.default_rng(seed)
    return [View(i, int(rng.integers(3)), float(np.float32(rng.random()))) for i in range(count)]


def two_views(count: int, seed: int = 0) -> list[View]:
    rng = np.random.default_rng(seed)
    drawn = rng.uniform(0.5, 1, count).tolist()
    return [View(i, 0, c, label=int(c * 1000) % 2, runner_up=1 - c) for i, c in enumerate(drawn)]


def routed_views(count: int, seed: int = 0) -> list[View]:
    rng = np.random.default_rng(seed)
    return [View(i, int(rng.integers(2)), float(np.float32(rng.random())), label=i % 2) for i in range(count)]


def case_of(kind: type[Policy]) -> tuple[Setting, Stream, Callable[..., list[View]]]:
    """The first setting it accepts, a stream and views that fit it."""
    routed = (ROUTED_SETTING, ROUTED, routed_views)
    for setting, stream, seen in ((SETTING, STREAM, views), (TWO_SETTING, TWO, two_views), routed):
        try:
            kind.start(setting)
        except ConfigError as error:
            assert "\n" not in str(error)  # noqa: PT017
        else:
            return setting, stream, seen
    raise AssertionError(f"no setting for {kind.name}")


def feedback_of(view: View, stream: Stream, heard: bool, label: int) -> Feedback:
    """All there is to tell of a sample that went on, or of one that stopped and nobody asked about."""
    early = (view.label or 0,) * (stream.exits - 1)
    last = stream.exits - 1
    if not heard:
        return Feedback(view.sample, view.exit, view.sample % 3 == 0, 0.01, (*early, None), (0.7,) * last + (None,))
    told = (*early, label), (0.7,) * stream.exits
    return Feedback(view.sample, last, view.sample % 3 == 0, 0.01, *told, truth=label)


def is_named_after_its_entry_point(name: str, kind: type[Policy]) -> None:
    assert kind.name == name


def decides_with_an_action(name: str, kind: type[Policy]) -> None:
    setting, _, seen = case_of(kind)
    policy = kind.start(setting)
    assert all(isinstance(policy.decide(view), Action) for view in seen(50))


def same_seed_same_decisions(name: str, kind: type[Policy]) -> None:
    setting, stream, _ = case_of(kind)
    one, two = (replay(kind.start(setting, seed=5), stream, audit_share=0.1) for _ in range(2))
    np.testing.assert_array_equal(one.exit, two.exit)


def goes_on_from_json_as_if_never_interrupted(name: str, kind: type[Policy]) -> None:
    setting, stream, seen = case_of(kind)
    whole, split = kind.start(setting, seed=3), kind.start(setting, seed=3)
    for index, view in enumerate(seen(300)):
        if index % 70 == 30:
            split = kind.from_json(json.dumps(json.loads(split.to_json())))
            assert split.to_json() == whole.to_json()
        action = whole.decide(view)
        assert action is split.decide(view)
        assert whole.answer(view) == split.answer(view)
        if index % 5:
            heard = feedback_of(view, stream, action is Action.GO_ON or index % 7 == 0, index % 2)
            whole.learn(heard)
            split.learn(heard)


def takes_late_missing_duplicate_and_unknown_feedback(name: str, kind: type[Policy]) -> None:
    setting, stream, seen = case_of(kind)
    policy = kind.start(setting)
    for view in seen(20):
        policy.decide(view)
    for sample in (19, 3, 3, 0, 12345):
        policy.learn(Feedback(sample, 1, correct=True, latency_s=0.5))
    policy.learn(Feedback(5, stream.exits - 1))
    assert isinstance(policy.decide(seen(1)[0]), Action)


def learns_nothing_from_feedback_it_had_or_of_samples_it_never_saw(name: str, kind: type[Policy]) -> None:
    setting, stream, seen = case_of(kind)
    policy = kind.start(setting)
    for view in seen(60):
        policy.decide(view)
        policy.learn(feedback_of(view, stream, True, 1))
    before = policy.to_json()
    for view in (*seen(60), seen(1)[0]._replace(sample=10**9)):
        policy.learn(feedback_of(view, stream, True, 0))
    assert policy.to_json() == before


def refuses_a_foreign_state(name: str, kind: type[Policy]) -> None:
    other = next(one for other_name, one in sorted(POLICIES.items()) if other_name != name)
    theirs = other.start(case_of(other)[0]).to_json()
    for text in ("", "[]", "{}", "7", '{"name": "another", "thresholds": []}', f'{{"name": "{name}"}}', theirs):
        with pytest.raises(ConfigError, match="not a state of policy"):
            kind.from_json(text)


def refuses_the_state_of_another_cascade(name: str, kind: type[Policy]) -> None:
    setting, _, _ = case_of(kind)
    text = kind.start(setting).to_json()
    assert isinstance(restore(kind, text, setting), kind)
    if "exits" in json.loads(text):
        longer = replace(setting, thresholds=(*setting.thresholds, None), layer_costs=())
        with pytest.raises(ConfigError, match="start a new one"):
            restore(kind, text, longer)


def refuses_views_that_cannot_be(name: str, kind: type[Policy]) -> None:
    setting, _, seen = case_of(kind)
    policy, good = kind.start(setting), seen(1)[0]._replace(exit=0)
    bad = [good._replace(confidence=c) for c in (np.nan, 1.5, -0.1)]
    for view in [*bad, *(good._replace(price=p) for p in (np.nan, 1.0, -0.1))]:
        with pytest.raises(ConfigError, match="must lie in"):
            policy.decide(view)
    assert isinstance(policy.decide(good), Action)


def keeps_its_memory_bounded_when_no_feedback_comes(name: str, kind: type[Policy]) -> None:
    setting, _, seen = case_of(kind)
    policy, some = kind.start(setting), seen(1000)
    for thousand in range(32):
        for view in some:
            policy.decide(view._replace(sample=100_000 + 1000 * thousand + view.sample))
    assert len(policy.to_json()) < 280_000  # some 4,096 samples at most, and what was learned


def touches_no_global_random_state(name: str, kind: type[Policy]) -> None:
    setting, stream, _ = case_of(kind)
    before = np.random.get_state(legacy=False)["state"]["pos"]  # noqa: NPY002
    replay(kind.start(setting, seed=1), stream)
    assert np.random.get_state(legacy=False)["state"]["pos"] == before  # noqa: NPY002


CHECKS: list[Callable[[str, type[Policy]], None]] = [
    is_named_after_its_entry_point,
    decides_with_an_action,
    same_seed_same_decisions,
    goes_on_from_json_as_if_never_interrupted,
    takes_late_missing_duplicate_and_unknown_feedback,
    learns_nothing_from_feedback_it_had_or_of_samples_it_never_saw,
    refuses_a_foreign_state,
    refuses_the_state_of_another_cascade,
    refuses_views_that_cannot_be,
    keeps_its_memory_bounded_when_no_feedback_comes,
    touches_no_global_random_state,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(POLICIES))
def test_policy_contract(name: str, check: Callable[[str, type[Policy]], None]) -> None:
    check(name, POLICIES[name])
