"""Every kind of gate keeps the rules of the seam: a score in [0, 1], a threshold on it, JSON and back."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest

from offramp.confidence.gates import Gate, gate_from_json
from offramp.confidence.gates.reading import gate_kinds
from offramp.errors import ConfigError
from tests.confidence.gates.support import MAKERS, make_case, rows_of

CASE = make_case(seed=1)
Make = Callable[[float | None], Gate]


def test_every_kind_is_under_contract() -> None:
    assert sorted(gate_kinds()) == sorted(MAKERS)
    assert {name: make(None).kind for name, make in MAKERS.items()} == {name: name for name in MAKERS}


def score_is_float32_in_the_unit_interval(make: Make) -> None:
    score = make(None).score(CASE.evidence)
    assert score.shape == CASE.right_here.shape
    assert score.dtype == np.float32
    assert ((score >= 0) & (score <= 1)).all()


def score_of_a_batch_is_that_of_its_rows(make: Make) -> None:
    gate = make(0.5)
    alone = [gate.score(rows_of(CASE.evidence, slice(i, i + 1)))[0] for i in range(200)]
    np.testing.assert_allclose(gate.score(CASE.evidence)[:200], alone, rtol=0, atol=1e-6)


def stop_compares_the_score(make: Make) -> None:
    score = make(None).score(CASE.evidence)
    for threshold in (0.0, float(score[3]), 0.5, 1.0):
        stops = make(threshold).stop(CASE.evidence)
        assert stops.dtype == np.bool_
        np.testing.assert_array_equal(stops, score >= np.float32(threshold))
    assert not make(None).stop(CASE.evidence).any()


def another_threshold_keeps_the_score(make: Make) -> None:
    gate = make(0.2)
    other = gate.with_threshold(0.7)
    assert other == make(0.7)
    assert other.with_threshold(0.2) == gate
    assert gate.with_threshold(None).threshold is None


def gate_survives_json(make: Make) -> None:
    for threshold in (0.25, None):
        gate = make(threshold)
        again = gate_from_json(gate.to_json())
        assert again == gate
        assert hash(again) == hash(gate)
        assert "\n" not in gate.to_json()
        np.testing.assert_array_equal(again.score(CASE.evidence), gate.score(CASE.evidence))


def repr_reproduces(make: Make) -> None:
    gate = make(0.25)
    assert eval(repr(gate), {type(gate).__name__: type(gate)}) == gate


def evidence_is_left_alone(make: Make) -> None:
    before = CASE.evidence.probabilities.copy()
    make(0.5).stop(CASE.evidence)
    np.testing.assert_array_equal(CASE.evidence.probabilities, before)


def bad_thresholds_are_refused(make: Make) -> None:
    for threshold in (-0.1, 1.1, float("nan")):
        with pytest.raises(ConfigError, match="must lie in"):
            make(0.5).with_threshold(threshold)


def a_damaged_gate_is_refused(make: Make) -> None:
    body = json.loads(make(0.5).to_json())
    for key in set(body) - {"kind"}:
        less = {name: value for name, value in body.items() if name != key}
        with pytest.raises(ConfigError, match="not a gate"):
            gate_from_json(json.dumps(less))
    with pytest.raises(ConfigError, match="not a gate"):
        gate_from_json(json.dumps({**body, "colour": "red"}))


CHECKS: list[Callable[[Make], None]] = [
    score_is_float32_in_the_unit_interval,
    score_of_a_batch_is_that_of_its_rows,
    stop_compares_the_score,
    another_threshold_keeps_the_score,
    gate_survives_json,
    repr_reproduces,
    evidence_is_left_alone,
    bad_thresholds_are_refused,
    a_damaged_gate_is_refused,
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(MAKERS))
def test_gate_contract(name: str, check: Callable[[Make], None]) -> None:
    check(MAKERS[name])
