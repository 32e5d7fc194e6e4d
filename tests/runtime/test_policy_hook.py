"""A policy decides at the first exit, whichever way a sample comes there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.store import Cascade
from offramp.policies.base import Action, Feedback, View
from offramp.policies.fixed import FixedGates
from offramp.runtime.device import Device
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
