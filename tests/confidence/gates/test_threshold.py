"""The threshold gate and reading gates back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.confidence.gates import ExitEvidence, ThresholdGate, gate_from_json
from offramp.errors import ConfigError


@given(threshold=st.one_of(st.none(), st.floats(0, 1)))
def test_json_round_trip(threshold: float | None) -> None:
    assert gate_from_json(ThresholdGate(threshold).to_json()) == ThresholdGate(threshold)


@given(
    low=st.floats(0, 1), high=st.floats(0, 1), confidence=st.lists(st.floats(0, 1, width=32), min_size=1, max_size=20)
)
def test_a_lower_threshold_lets_more_leave(low: float, high: float, confidence: list[float]) -> None:
    low, high = min(low, high), max(low, high)
    evidence = ExitEvidence(0, np.array(confidence, np.float32), np.zeros((len(confidence), 2)))
    assert (ThresholdGate(low).stop(evidence) >= ThresholdGate(high).stop(evidence)).all()
    assert not ThresholdGate(None).stop(evidence).any()
    assert ThresholdGate(0.0).stop(evidence).all()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"kind": "oracle"}'])
def test_what_is_no_gate_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"not a gate|unknown gate kind 'oracle'"):
        gate_from_json(text)


@pytest.mark.parametrize(
    "text", ['{"kind": "threshold"}', '{"kind": "threshold", "level": 1}', '{"kind": "threshold", "threshold": "x"}']
)
def test_a_damaged_gate_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="not a gate"):
        gate_from_json(text)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, float("nan")])
def test_a_threshold_lies_between_0_and_1(threshold: float) -> None:
    with pytest.raises(ConfigError, match="must lie in"):
        ThresholdGate(threshold)


def test_a_stored_threshold_is_checked_as_well() -> None:
    with pytest.raises(ConfigError, match="must lie in"):
        gate_from_json('{"kind": "threshold", "threshold": 2.0}')
