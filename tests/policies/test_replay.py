"""Replaying policies over records."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.confidence.settings import exits_taken
from offramp.errors import ConfigError, RecordMismatch
from offramp.planning.objective import Objective
from offramp.planning.replay import plan_thresholds
from offramp.planning.search import search
from offramp.policies.base import Action, Feedback, Policy, View
from offramp.policies.fixed import FixedGates
from offramp.policies.replay import replay
from offramp.records.confidences import confidences
from tests.support.instances import make_instance, make_records


@given(seed=st.integers(0, 2**20), exits=st.integers(1, 4))
def test_fixed_gates_leave_where_the_plan_says(seed: int, exits: int) -> None:
    case = make_instance(seed, exits, 2, exits, 40)
    plan = search(
        case.records, case.profiles, case.network, Objective(accuracy_loss=0.1), temperatures=case.temperatures
    ).plan
    policy = FixedGates.start([gate.threshold for gate in plan.gates])
    found = replay(policy, case.records, temperatures=plan.temperatures)
    expected = exits_taken(confidences(case.records, plan.temperatures), plan_thresholds(plan))
    np.testing.assert_array_equal(found.exit, expected)
    np.testing.assert_array_equal(found.correct, case.records.correct[expected, np.arange(40)])


class Listener(Policy):
    """Remembers what it was told."""

    name = "listener"

    def __init__(self) -> None:
        self.heard: list[tuple[int, Feedback]] = []
        self.asked = 0

    @classmethod
    def start(cls, thresholds: Sequence[float | None], seed: int = 0) -> Listener:
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
    found = replay(listener, records, order, known=known, delay=3)
    assert [feedback.sample for _, feedback in listener.heard] == list(range(7))
    assert all(asked == feedback.sample + 3 for asked, feedback in listener.heard)
    assert [feedback.correct is None for _, feedback in listener.heard] == [not known[order[i]] for i in range(7)]
    np.testing.assert_array_equal(found.row, order)
    assert found.accuracy == pytest.approx(records.correct[0].mean())


def test_wrong_thresholds_and_temperatures_are_refused() -> None:
    with pytest.raises(ConfigError, match="must lie in"):
        FixedGates([1.5])
    with pytest.raises(RecordMismatch, match="1 temperatures for the 2 exits"):
        replay(Listener(), make_records(np.random.default_rng(1), 10, 2), temperatures=[1.0])


def test_repr_reproduces() -> None:
    assert repr(eval(repr(FixedGates([0.5, None])))) == "FixedGates([0.5, None])"
