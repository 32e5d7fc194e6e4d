"""Replaying policies over records."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.confidence.settings import exits_taken
from offramp.errors import ConfigError, RecordMismatch
from offramp.planning.objective import Objective
from offramp.planning.replay import plan_thresholds
from offramp.planning.search import search
from offramp.policies.base import Action, Arrival, Feedback, FeedbackKind, Policy, View
from offramp.policies.fixed import FixedGates
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream, stream_of
from offramp.records.confidences import confidences
from tests.support.instances import make_instance, make_records


@given(seed=st.integers(0, 2**20), exits=st.integers(1, 4))
def test_fixed_gates_leave_where_the_plan_says(seed: int, exits: int) -> None:
    case = make_instance(seed, exits, 2, exits, 40)
    plan = search(
        case.records, case.profiles, case.network, Objective(accuracy_loss=0.1), temperatures=case.temperatures
    ).plan
    policy = FixedGates.start(Setting(tuple(gate.threshold for gate in plan.gates)))
    found = replay(policy, stream_of(case.records, temperatures=plan.temperatures))
    expected = exits_taken(confidences(case.records, plan.temperatures), plan_thresholds(plan))
    np.testing.assert_array_equal(found.exit, expected)
    np.testing.assert_array_equal(found.correct, case.records.correct[expected, np.arange(40)])


class Listener(Policy):
    """Remembers what it was told."""

    name = "listener"
    feedback = FeedbackKind.TRUTH

    def __init__(self) -> None:
        self.heard: list[tuple[int, Feedback]] = []
        self.asked = 0

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> Listener:
        return cls()

    def decide(self, view: View) -> Action:
        self.asked = view.sample
        return Action.STOP

    def learn(self, feedback: Feedback) -> None:
        self.heard.append((self.asked, feedback))

    def to_json(self) -> str:
        return "{}"

    @classmethod
    def from_json(cls, text: str) -> Listener:
        return cls()


def test_feedback_comes_late_or_without_the_truth() -> None:
    records = make_records(np.random.default_rng(1), 10, 2)
    known = np.arange(10) % 2 == 0
    order = np.arange(10)[::-1].copy()
    listener = Listener()
    found = replay(listener, stream_of(records), order, known=known, delay=3)
    assert [feedback.sample for _, feedback in listener.heard] == list(range(7))
    assert all(asked == feedback.sample + 3 for asked, feedback in listener.heard)
    assert [feedback.correct is None for _, feedback in listener.heard] == [not known[order[i]] for i in range(7)]
    np.testing.assert_array_equal(found.row, order)
    assert found.accuracy == pytest.approx(records.correct[0].mean())


def test_wrong_thresholds_and_temperatures_are_refused() -> None:
    with pytest.raises(ConfigError, match="must lie in"):
        FixedGates([1.5])
    with pytest.raises(RecordMismatch, match="1 temperatures for the 2 exits"):
        stream_of(make_records(np.random.default_rng(1), 10, 2), temperatures=[1.0])


def test_one_class_alone_is_nothing_to_decide() -> None:
    records = make_records(np.random.default_rng(1), 10, 2)
    with pytest.raises(RecordMismatch, match="have one class alone"):
        stream_of(replace(records, logits=records.logits[:, :, :1], labels=np.zeros(10, np.int64)))


def test_repr_reproduces() -> None:
    assert repr(eval(repr(FixedGates([0.5, None])))) == "FixedGates([0.5, None])"


class Hearer(Listener):
    """Is told of audits; stops every second sample."""

    name = "hearer"
    feedback = FeedbackKind.AUDITS

    def decide(self, view: View) -> Action:
        self.asked = view.sample
        return Action.STOP if view.sample % 2 else Action.GO_ON


def test_no_policy_is_told_more_than_it_needs_nor_more_than_there_is() -> None:
    stream = stream_of(make_records(np.random.default_rng(1), 40, 2))
    with pytest.raises(
        ConfigError, match="'listener' learns from feedback of kind TRUTH; here there is no more than AUDITS"
    ):
        replay(Listener(), stream, feedback=FeedbackKind.AUDITS)
    hearer = Hearer()
    found = replay(hearer, stream, audit_share=0.5, audit_seed=3)
    for feedback in (feedback for _, feedback in hearer.heard):
        assert feedback.truth is None
        assert feedback.correct is None
        stopped = feedback.sample % 2 == 1
        assert (feedback.labels[-1] is None) == (stopped and not found.audited[feedback.sample])
        assert feedback.propensity == (0.5 if found.audited[feedback.sample] else 1.0)
        assert feedback.labels[0] == stream.predicted[0, feedback.sample]
    assert 0 < found.audited.sum() < 20
    assert not found.audited[::2].any()


class Skipper(Listener):
    """Sends every third sample straight to the last exit."""

    name = "skipper"
    feedback = FeedbackKind.ANSWERS

    def route(self, arrival: Arrival) -> int:
        return 2 if arrival.sample % 3 == 0 else 0


def test_a_router_skips_exits_and_hears_nothing_of_them() -> None:
    stream = stream_of(make_records(np.random.default_rng(1), 12, 3))
    skipper = Skipper()
    found = replay(skipper, stream)
    np.testing.assert_array_equal(found.begin, np.where(np.arange(12) % 3 == 0, 2, 0))
    np.testing.assert_array_equal(found.exit, found.begin)
    assert [f.labels[0] is None for _, f in skipper.heard] == [i % 3 == 0 for i in range(12)]
    np.testing.assert_array_equal(found.correct, stream.right[found.exit, np.arange(12)])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"confidence": np.array([[0.5, np.nan], [0.5, 0.5]])}, "exit 0 has nan at sample 1"),
        ({"confidence": np.array([[0.5, 1.5], [0.5, 0.5]])}, "exit 0 has 1.5 at sample 1"),
        ({"truth": np.zeros(3, int)}, "must have that shape"),
        ({"price": np.array([0.2, 1.0])}, "must lie in"),
        ({"context": np.zeros(1, int)}, "give one per sample"),
    ],
)
def test_bad_streams_are_refused(change: dict[str, Any], message: str) -> None:
    good: dict[str, Any] = {
        "confidence": np.full((2, 2), 0.5),
        "predicted": np.zeros((2, 2), int),
        "truth": np.zeros(2, int),
    }
    with pytest.raises(ConfigError, match=message):
        Stream(**good | change)


def test_taking_samples_takes_all_of_them() -> None:
    stream = stream_of(make_records(np.random.default_rng(1), 12, 3))
    whole = replace(stream, price=np.linspace(0, 0.9, 12), features=np.ones((12, 2), np.float32), context=np.arange(12))
    some = whole.take(np.array([5, 2]))
    assert len(some) == 2
    assert some.context is not None
    assert some.runner_up is not None
    assert whole.runner_up is not None
    np.testing.assert_array_equal(some.context, [5, 2])
    np.testing.assert_array_equal(some.runner_up, whole.runner_up[:, [5, 2]])
    np.testing.assert_array_equal(some.published().truth, whole.predicted[-1, [5, 2]])


class Auditor(Listener):
    """Sends every other sample on, and hears audits."""

    name = "auditor"
    feedback = FeedbackKind.AUDITS

    def decide(self, view: View) -> Action:
        super().decide(view)
        return Action.GO_ON if view.sample % 2 else Action.STOP


def test_labelled_audits_tell_truths_with_their_propensity() -> None:
    rows = 4000
    stream = stream_of(make_records(np.random.default_rng(3), rows, 2, classes=3))
    stream = replace(stream, confidence=stream.confidence[-2:], predicted=stream.predicted[-2:], runner_up=None)
    policy, plain = Auditor(), Auditor()
    found = replay(policy, stream, audit_share=0.4, label_share=0.1)
    heard = [feedback for _, feedback in policy.heard]
    answered = np.array([feedback.labels[-1] is not None for feedback in heard])
    np.testing.assert_array_equal(answered, found.audited | (found.exit == 1))
    np.testing.assert_array_equal([feedback.label_propensity for feedback in heard], np.where(answered, 0.1, 0.0))
    told = np.array([feedback.truth is not None for feedback in heard])
    np.testing.assert_array_equal(told, found.labelled)
    assert not (told & ~answered).any()
    for part in (found.audited, found.exit == 1):
        assert told[part].mean() == pytest.approx(0.1, abs=4 * (0.09 / part.sum()) ** 0.5)
    assert all(f.truth == stream.truth[row] for f, row in zip(heard, found.row, strict=True) if f.truth is not None)
    assert not replay(plain, stream, audit_share=0.4).labelled.any()
    assert all(f.truth is None and f.label_propensity == 0.0 for _, f in plain.heard)
    np.testing.assert_array_equal([f.labels for _, f in plain.heard], [f.labels for f in heard])


def test_policies_that_hear_every_truth_or_none_get_no_labelled_audits() -> None:
    stream = stream_of(make_records(np.random.default_rng(3), 50, 2, classes=3))
    policy = Listener()
    assert not replay(policy, stream, label_share=1.0).labelled.any()
    assert {feedback.label_propensity for _, feedback in policy.heard} == {0.0}
    with pytest.raises(ConfigError, match="share of labels must lie in"):
        replay(policy, stream, label_share=1.5)
