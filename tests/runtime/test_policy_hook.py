"""A policy decides at the exits of the device, whichever way a sample comes there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.store import Cascade
from offramp.errors import ConfigError
from offramp.policies.base import Action, Feedback, FeedbackKind, View
from offramp.policies.fixed import FixedGates
from offramp.runtime import policy_hook
from offramp.runtime.audit import Audit
from offramp.runtime.device import Device
from offramp.runtime.policy_hook import PolicyHook
from offramp.runtime.route import Route
from tests.runtime.support import local_chain, plan_of
from tests.runtime.test_service import serving
from tests.support.tiny import make_tiny_cascade, tiny_rows

SPLIT = ("device", "edge", "edge")
#: the plan stops nobody at the first exit; the policy stops those above 0.6
PLANNED, DECIDED = (None, 0.8), (0.6, 0.8)


class Diary(FixedGates):
    """Fixed gates that remember what they saw."""

    def __init__(self, thresholds: Sequence[float | None]) -> None:
        super().__init__(thresholds)
        self.views, self.heard = list[View](), list[Feedback]()

    def decide(self, view: View) -> Action:
        self.views.append(view)
        return super().decide(view)

    def learn(self, feedback: Feedback) -> None:
        self.heard.append(feedback)


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


@pytest.mark.parametrize("way", ["one by one", "batch", "pipelined", "stamped"])
def test_it_decides_and_hears_what_became_of_each(cascade: Cascade, way: str) -> None:
    plan, rows, diary = plan_of(cascade, SPLIT, PLANNED), tiny_rows(60), Diary(DECIDED)
    expected = local_chain(cascade, rows, DECIDED)
    with (
        serving(cascade, "edge", plan) as (edge, _),
        Device(cascade, plan, edge, policy=diary, stamped=way == "stamped") as device,
    ):
        if way == "batch":
            answers = device.infer_batch(rows)
        elif way == "pipelined":
            answers = list(device.infer_many(rows))
        else:
            answers = [device.infer(row) for row in rows]
    assert [(answer.label, answer.exit) for answer in answers] == [one[:2] for one in expected]
    assert {answer.exit for answer in answers} >= {0, 1}
    assert [view.sample for view in diary.views] == list(range(60))
    assert {view.exit for view in diary.views} == {0}
    heard = {feedback.sample: feedback for feedback in diary.heard}
    assert len(diary.heard) == len(heard) == 60
    assert [heard[sample].exit for sample in range(60)] == [answer.exit for answer in answers]
    latencies = [heard[sample].latency_s for sample in range(60)]
    np.testing.assert_allclose([answer.latency_s for answer in answers], np.array(latencies, float))


def test_it_stays_through_a_swap_of_plans(cascade: Cascade) -> None:
    rows, diary = tiny_rows(30), Diary((0.0, None))
    with Device(cascade, plan_of(cascade, ("device",) * 3, PLANNED), policy=diary) as device:
        device.infer_batch(rows)
        device.switch(plan_of(cascade, ("device",) * 3, (None, 0.1)))
        assert {answer.exit for answer in device.infer_batch(rows)} == {0}
    assert len(diary.views) == 60


class Listener(Diary):
    """Asks for what the exits say."""

    name = "listener"
    feedback = FeedbackKind.ANSWERS


class Audited(Diary):
    """Asks for audits besides."""

    name = "audited"
    feedback = FeedbackKind.AUDITS


class Knowing(Diary):
    """Asks for the truth."""

    name = "knowing"
    feedback = FeedbackKind.TRUTH


@pytest.mark.parametrize("together", [False, True])
def test_it_sees_every_exit_of_the_device_and_hears_what_each_said(cascade: Cascade, together: bool) -> None:
    plan, rows, diary = plan_of(cascade, ("device", "device", "edge"), (0.9, 0.9)), tiny_rows(60), Listener((0.6, 0.8))
    expected = local_chain(cascade, rows, (0.6, 0.8))
    first, middle, last = (local_chain(cascade, rows, gates) for gates in ((0.0, 0.0), (None, 0.0), (None, None)))
    with serving(cascade, "edge", plan) as (edge, _), Device(cascade, plan, edge, policy=diary) as device:
        answers = device.infer_batch(rows) if together else [device.infer(row) for row in rows]
    assert [(answer.label, answer.exit) for answer in answers] == [one[:2] for one in expected]
    assert {answer.exit for answer in answers} == {0, 1, 2}
    for view in diary.views:
        label, _, probabilities = (first, middle)[view.exit][view.sample]
        ordered = np.sort(probabilities)
        assert view.label == label
        np.testing.assert_allclose([view.confidence, view.runner_up], ordered[:-3:-1], atol=1e-6)
    passed = [[view.exit for view in diary.views if view.sample == sample] for sample in range(60)]
    assert passed == [list(range(min(answer.exit, 1) + 1)) for answer in answers]
    assert [feedback.sample for feedback in diary.heard] == list(range(60))
    for feedback, answer in zip(diary.heard, answers, strict=True):
        said = [chain[feedback.sample][0] for chain in (first, middle, last)]
        assert feedback.labels == tuple(one if index <= answer.exit else None for index, one in enumerate(said))
        assert [c is None for c in feedback.confidences] == [index > answer.exit for index in range(3)]
        assert (feedback.truth, feedback.correct, feedback.propensity) == (None, None, 1.0)


def test_audits_are_heard_with_their_propensity(cascade: Cascade) -> None:
    plan, rows, diary = plan_of(cascade, SPLIT, (None, None)), tiny_rows(60), Audited((0.6, None))
    last = local_chain(cascade, rows, (None, None))
    audit = Audit(share=0.5, limit=0.9, delta=0.01)
    with serving(cascade, "edge", plan) as (edge, _), Device(cascade, plan, edge, policy=diary, audit=audit) as device:
        answers = [device.infer(row) for row in rows]
        assert device.auditor is not None
        device.auditor.flush()
    heard = [feedback for feedback in diary.heard if feedback.propensity == 0.5]
    assert len(diary.heard) == 60 + len(heard)
    assert 0 < len(heard) < sum(answer.exit == 0 for answer in answers)
    for feedback in heard:
        answer = answers[feedback.sample]
        assert (feedback.exit, answer.exit) == (0, 0)
        assert feedback.labels == (answer.label, None, last[feedback.sample][0])


def test_what_it_remembers_is_bounded(cascade: Cascade, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policy_hook, "REMEMBERED", 10)
    hook = PolicyHook(Audited((0.6, None)))
    hook.on(Route.of(plan_of(cascade, SPLIT, PLANNED), "device", 3))
    for _ in range(50):
        hook.decide(0, np.array([0.9], np.float32), np.array([[0.9, 0.1]]))
        hook.learn(hook.taken(), (0,), (0,), (0.9,), 0.01)
    assert len(hook._said) == 10


def test_a_policy_that_needs_the_truth_is_refused(cascade: Cascade) -> None:
    with pytest.raises(ConfigError, match="'knowing' learns from the truth of every sample, which nobody knows here"):
        Device(cascade, plan_of(cascade, ("device",) * 3, PLANNED), policy=Knowing((0.5, 0.5)))


class Contrary(Diary):
    """Answers the class after the one the exit says."""

    name = "contrary"

    def answer(self, view: View) -> int | None:
        return None if view.label is None else (view.label + 1) % 3


@pytest.mark.parametrize("way", ["one by one", "batch", "pipelined"])
def test_what_a_policy_answers_is_the_answer(cascade: Cascade, way: str) -> None:
    plan, rows, diary = plan_of(cascade, SPLIT, PLANNED), tiny_rows(60), Contrary(DECIDED)
    expected = local_chain(cascade, rows, DECIDED)
    with serving(cascade, "edge", plan) as (edge, _), Device(cascade, plan, edge, policy=diary) as device:
        if way == "batch":
            answers = device.infer_batch(rows)
        elif way == "pipelined":
            answers = list(device.infer_many(rows))
        else:
            answers = [device.infer(row) for row in rows]
    said = [(label + 1) % 3 if left == 0 else label for label, left, _ in expected]
    assert [answer.label for answer in answers] == said
