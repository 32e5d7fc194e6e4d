"""Every score, calibrator and gate, found by entry point, keeps the rules of its seam."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Any

import numpy as np
import pytest

from offramp.confidence.calibrator import Calibrator
from offramp.confidence.calibrators import calibrator_from_json
from offramp.confidence.gates import ExitEvidence, Gate, gate_from_json
from offramp.confidence.scores import Score
from offramp.errors import ConfigError, NotEnoughSamples, SampleError


def discover(kind: str) -> dict[str, Any]:
    """Classes of one seam, by name of their entry point."""
    return {point.name: point.load() for point in entry_points(group=f"offramp.{kind}")}


def ours(seam: type[Any]) -> dict[str, Any]:
    """Our own classes of a seam, registered or not yet."""
    return {c.__name__: c for c in seam.__subclasses__() if c.__module__.startswith("offramp.")}


def together(kind: str, seam: type[Any]) -> dict[str, Any]:
    """Each class once, under the name of its entry point where it has one."""
    found = discover(kind)
    return found | {name: c for name, c in ours(seam).items() if c not in found.values()}


SCORES: dict[str, type[Score]] = together("scores", Score)
CALIBRATORS: dict[str, type[Calibrator]] = together("calibrators", Calibrator)
GATES: dict[str, type[Gate]] = discover("gates")

RNG = np.random.default_rng(0)
LABELS = RNG.integers(0, 4, 200)
LOGITS = RNG.normal(0, 2, (200, 4)) + 3 * np.eye(4)[LABELS]


# -- scores


def score_lies_in_the_unit_interval(score: Score) -> None:
    for logits in (LOGITS, LOGITS * 1e4, np.zeros((3, 4)), LOGITS.astype(np.float32)):
        values = score.score(logits)
        assert values.shape == (len(logits),)
        assert values.dtype == np.float64
        assert ((values >= 0) & (values <= 1)).all()


def score_of_a_batch_is_that_of_its_rows(score: Score) -> None:
    np.testing.assert_allclose(score.score(LOGITS), [score.score(row[None])[0] for row in LOGITS], rtol=0, atol=1e-14)


def score_ignores_the_order_of_classes_and_a_common_shift(score: Score) -> None:
    np.testing.assert_allclose(score.score(LOGITS[:, ::-1]), score.score(LOGITS), rtol=0, atol=1e-12)
    np.testing.assert_allclose(score.score(LOGITS + 100), score.score(LOGITS), rtol=0, atol=1e-9)


def score_is_lowest_for_a_guess_and_highest_for_certainty(score: Score) -> None:
    guess, certain = score.score(np.array([[0.0, 0, 0, 0], [1000.0, 0, 0, 0]]))
    values = score.score(LOGITS)
    assert guess <= values.min()
    assert certain >= values.max()


def score_repr_reproduces(score: Score) -> None:
    assert eval(repr(score), {type(score).__name__: type(score)}) == score


def score_leaves_its_input_alone(score: Score) -> None:
    before = LOGITS.copy()
    score.score(LOGITS)
    np.testing.assert_array_equal(LOGITS, before)


SCORE_CHECKS: list[Callable[[Score], None]] = [
    score_lies_in_the_unit_interval,
    score_of_a_batch_is_that_of_its_rows,
    score_ignores_the_order_of_classes_and_a_common_shift,
    score_is_lowest_for_a_guess_and_highest_for_certainty,
    score_repr_reproduces,
    score_leaves_its_input_alone,
]


@pytest.mark.parametrize("check", SCORE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(SCORES))
def test_score_contract(name: str, check: Callable[[Score], None]) -> None:
    check(SCORES[name]())


# -- calibrators


def nll(logits: np.ndarray[Any, Any]) -> float:
    top = logits.max(-1, keepdims=True)
    logsum = np.log(np.exp(logits - top).sum(-1)) + top[:, 0]
    return float((logsum - logits[np.arange(len(LABELS)), LABELS]).mean())


def fit_returns_itself_and_never_hurts(calibrator: Calibrator) -> None:
    assert calibrator.fit(LOGITS * 5, LABELS) is calibrator
    assert nll(calibrator.transform(LOGITS * 5)) <= nll(LOGITS * 5) + 1e-9


def transform_keeps_shape_and_rows(calibrator: Calibrator) -> None:
    calibrator.fit(LOGITS, LABELS)
    whole = calibrator.transform(LOGITS)
    assert whole.shape == LOGITS.shape
    np.testing.assert_allclose(whole, [calibrator.transform(row[None])[0] for row in LOGITS])


def same_data_same_fit(calibrator: Calibrator) -> None:
    one = calibrator.fit(LOGITS, LABELS).transform(LOGITS)
    two = type(calibrator)().fit(LOGITS, LABELS).transform(LOGITS)
    np.testing.assert_array_equal(one, two)


def calibrator_survives_json(calibrator: Calibrator) -> None:
    for learnt in (calibrator, calibrator.fit(LOGITS, LABELS)):
        again = calibrator_from_json(learnt.to_json())
        assert type(again) is type(learnt)
        assert again.to_json() == learnt.to_json()
        np.testing.assert_array_equal(again.transform(LOGITS), learnt.transform(LOGITS))


def unfitted_leaves_logits_as_they_are(calibrator: Calibrator) -> None:
    np.testing.assert_array_equal(calibrator.transform(LOGITS), LOGITS)


def calibrator_leaves_its_input_alone(calibrator: Calibrator) -> None:
    before = LOGITS.copy()
    calibrator.fit(LOGITS, LABELS).transform(LOGITS)
    np.testing.assert_array_equal(LOGITS, before)


def bad_input_raises_the_named_error(calibrator: Calibrator) -> None:
    with pytest.raises(NotEnoughSamples):
        calibrator.fit(LOGITS[:1], LABELS[:1])
    with pytest.raises(SampleError, match="row 3 "):
        calibrator.fit(np.where(np.arange(200)[:, None] == 3, np.nan, LOGITS), LABELS)
    with pytest.raises(SampleError, match="labels"):
        calibrator.fit(LOGITS, LABELS + 1)
    with pytest.raises(SampleError, match="shapes"):
        calibrator.fit(LOGITS, LABELS[1:])


CALIBRATOR_CHECKS: list[Callable[[Calibrator], None]] = [
    fit_returns_itself_and_never_hurts,
    transform_keeps_shape_and_rows,
    same_data_same_fit,
    calibrator_survives_json,
    unfitted_leaves_logits_as_they_are,
    calibrator_leaves_its_input_alone,
    bad_input_raises_the_named_error,
]


@pytest.mark.parametrize("check", CALIBRATOR_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(CALIBRATORS))
def test_calibrator_contract(name: str, check: Callable[[Calibrator], None]) -> None:
    check(CALIBRATORS[name]())


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"kind": "isotonic"}', '{"kind": "temperature", "temperature": -1}'])
def test_not_a_calibrator(text: str) -> None:
    with pytest.raises(ConfigError, match="not a calibrator"):
        calibrator_from_json(text)
    with pytest.raises(ConfigError, match="known are isotonic, temperature, vector_scaling"):
        calibrator_from_json('{"kind": "magic"}')


# -- gates: the contract fits gates that start from one number in [0, 1], or None for off


EVIDENCE = ExitEvidence(0, np.linspace(0, 1, 21, dtype=np.float32), np.full((21, 2), 0.5, np.float32))


def gate_answers_one_bool_per_row(make: Callable[[float | None], Gate]) -> None:
    for value in (0.0, 0.5, 1.0, None):
        stops = make(value).stop(EVIDENCE)
        assert stops.shape == (21,)
        assert stops.dtype == np.bool_


def gate_of_a_batch_is_that_of_its_rows(make: Callable[[float | None], Gate]) -> None:
    gate = make(0.5)
    single = [
        bool(gate.stop(ExitEvidence(0, EVIDENCE.confidence[i : i + 1], EVIDENCE.probabilities[i : i + 1]))[0])
        for i in range(21)
    ]
    assert gate.stop(EVIDENCE).tolist() == single


def gate_survives_json(make: Callable[[float | None], Gate]) -> None:
    for value in (0.25, None):
        gate = make(value)
        assert json.loads(gate.to_json())["kind"] == gate.kind
        assert gate_from_json(gate.to_json()) == gate


def gate_repr_reproduces(make: Callable[[float | None], Gate]) -> None:
    gate = make(0.25)
    assert eval(repr(gate), {type(gate).__name__: type(gate)}) == gate


GATE_CHECKS: list[Callable[[Callable[[float | None], Gate]], None]] = [
    gate_answers_one_bool_per_row,
    gate_of_a_batch_is_that_of_its_rows,
    gate_survives_json,
    gate_repr_reproduces,
]


@pytest.mark.parametrize("check", GATE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", sorted(GATES))
def test_gate_contract(name: str, check: Callable[[Callable[[float | None], Gate]], None]) -> None:
    check(GATES[name])
