"""The gain gate: honest where the gain is known, the Bayes rule, the same alone and in a batch, small."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.confidence.gates import ExitEvidence, GainGate, eefp_label, gate_from_json, rescue_and_harm
from offramp.confidence.gates.features import BASE, CLASS_SCALE, GainFeatures, features_of_row, width
from offramp.confidence.gates.ridge import fit_ridge
from offramp.errors import ConfigError, NotEnoughSamples, SampleError
from tests.confidence.gates.support import make_case, rows_of


def binary(p1: np.ndarray) -> ExitEvidence:
    return ExitEvidence(0, p1, np.stack([p1, 1 - p1], 1))


def test_a_known_gain_is_found() -> None:
    rng = np.random.default_rng(0)
    p1 = rng.uniform(0.5, 1, 20_000)
    gate = GainGate.fit(binary(p1), rng.random(20_000) < p1, rng.random(20_000) < 0.9)
    where = np.linspace(0.55, 0.98, 20)
    np.testing.assert_allclose(gate.gain(binary(where)), 0.9 - where, atol=0.05)


def test_a_specialist_later_exit_is_told_by_class() -> None:
    """The later exit always knows class 0 and never class 1; the confidence says nothing."""
    rng = np.random.default_rng(0)
    first = rng.integers(0, 3, 1000)
    p = np.full((1000, 3), 0.2)
    p[np.arange(1000), first] = 0.6
    gate = GainGate.fit(ExitEvidence(0, p.max(-1), p), rng.random(1000) < 0.6, first == 0)
    gain = gate.gain(ExitEvidence(0, np.full(2, 0.6), np.array([[0.6, 0.2, 0.2], [0.2, 0.6, 0.2]])))
    assert gain[0] > 0.1
    assert gain[1] < -0.15


def test_agreement_with_an_earlier_exit_counts() -> None:
    rng = np.random.default_rng(0)
    agrees = rng.random(1000) < 0.5
    p1 = rng.uniform(0.5, 1, 1000)
    right = rng.random(1000) < np.where(agrees, 0.95, 0.4)
    evidence = replace_labels(binary(p1), np.where(agrees, 0, 1)[None])
    gate = GainGate.fit(evidence, right, rng.random(1000) < 0.9)
    gain = gate.gain(replace_labels(binary(np.full(2, 0.75)), np.array([[0, 1]])))
    assert gain[1] - gain[0] > 0.3


def replace_labels(evidence: ExitEvidence, labels: np.ndarray) -> ExitEvidence:
    return ExitEvidence(evidence.exit, evidence.confidence, evidence.probabilities, labels)


@given(price=st.floats(0, 1), seed=st.integers(0, 20))
def test_a_row_leaves_where_the_gain_is_at_most_the_price(price: float, seed: int) -> None:
    case, other = make_case(seed=0), make_case(seed=seed, rows=100)
    gate = GainGate.fit(case.evidence, case.right_here, case.right_later, price=price)
    gain = gate.gain(other.evidence)
    clear = np.abs(gain - price) > 1e-6  # the score is float32
    np.testing.assert_array_equal(gate.stop(other.evidence)[clear], (gain <= price)[clear])


@pytest.mark.parametrize(("classes", "earlier"), [(2, 0), (2, 2), (3, 1), (10, 2), (100, 1)])
def test_features_alone_are_those_of_the_batch(classes: int, earlier: int) -> None:
    evidence = make_case(rows=50, classes=classes, earlier=earlier).evidence
    matrix = GainFeatures.of(evidence).matrix
    assert matrix.shape == (50, width(classes, earlier))
    for row in range(50):
        answers = [] if evidence.earlier_labels is None else evidence.earlier_labels[:, row].tolist()
        columns, named, p1 = features_of_row(evidence.probabilities[row].astype(np.float64), answers)
        alone = np.zeros(matrix.shape[1])
        alone[: len(columns)] = columns
        alone[list(named)] = CLASS_SCALE
        np.testing.assert_allclose(alone, matrix[row], rtol=0, atol=1e-12)
        assert p1 == evidence.probabilities[row].max()


@pytest.mark.parametrize(("classes", "earlier"), [(2, 1), (10, 0), (40, 0)])
def test_alone_a_row_is_decided_as_in_the_batch(classes: int, earlier: int) -> None:
    case = make_case(rows=300, classes=classes, earlier=earlier)
    gate = GainGate.fit(case.evidence, case.right_here, case.right_later, price=0.1)
    clear = np.flatnonzero(np.abs(gate.gain(case.evidence) - 0.1) > 1e-6)
    alone = [bool(gate.stop(rows_of(case.evidence, slice(row, row + 1)))[0]) for row in clear]
    np.testing.assert_array_equal(alone, gate.stop(case.evidence)[clear])
    assert not gate.with_threshold(None).stop(rows_of(case.evidence, slice(0, 1))).any()


def test_features_that_tell_nothing_weigh_less_and_those_that_do_are_kept() -> None:
    rng = np.random.default_rng(0)
    p1, answers = rng.uniform(0.5, 1, 2000), rng.integers(0, 2, (1, 2000))
    evidence, later = replace_labels(binary(p1), answers), rng.random(2000) < 0.9
    other = GainFeatures.of(evidence)
    for right, shrunk in ((rng.random(2000) < p1, True), (rng.random(2000) < np.where(answers[0], 0.4, 0.95), False)):
        rescue, _ = rescue_and_harm(right, later)
        mean, spread = other.scaling()
        full = fit_ridge((other.matrix - mean) / spread, rescue, base=BASE).weights / spread
        ours = np.array(GainGate.fit_features(other, right, later).rescue)
        np.testing.assert_allclose(ours[BASE:], full[BASE:] * (2 / 3 if shrunk else 1), atol=1e-9)


def test_certain_and_uniform_rows_have_a_gain() -> None:
    case = make_case(earlier=0)
    gate = GainGate.fit(case.evidence, case.right_here, case.right_later)
    p = np.array([[1.0, 0, 0, 0], [0.25, 0.25, 0.25, 0.25]])
    gain = gate.gain(ExitEvidence(0, p.max(-1), p))
    assert np.isfinite(gain).all()
    assert gain[1] > gain[0]
    for row in range(2):
        alone = gate.gain(ExitEvidence(0, p[row : row + 1].max(-1), p[row : row + 1]))
        np.testing.assert_allclose(alone, gain[row : row + 1], atol=1e-12)


def test_when_both_are_always_right_nothing_is_gained() -> None:
    case = make_case(earlier=0)
    always = np.ones(600, bool)
    gate = GainGate.fit(case.evidence, always, always, price=0.02)
    assert gate.stop(case.evidence).all()


def test_all_rows_of_one_confidence() -> None:
    p = np.tile([0.5, 0.5], (100, 1))
    gate = GainGate.fit(ExitEvidence(0, p.max(-1), p), np.arange(100) % 2 == 0, np.ones(100, bool))
    assert gate.edges == ()
    assert gate.gain(ExitEvidence(0, p.max(-1), p))[0] == pytest.approx(0.5, abs=0.02)


def test_it_is_small() -> None:
    for classes, earlier in ((2, 5), (10, 2), (100, 3)):
        case = make_case(rows=1000, classes=classes, earlier=earlier)
        assert GainGate.fit(case.evidence, case.right_here, case.right_later).parameters < 300


def test_the_steps_alone_decide_as_the_best_threshold_does() -> None:
    case = make_case(rows=100, classes=2, earlier=0)
    gate = GainGate.fit(case.evidence, case.right_here, case.right_later)
    worth = case.right_later.astype(float) - case.right_here
    confidence = case.evidence.confidence
    steps = np.array(gate.steps)[np.searchsorted(gate.edges, confidence, side="right")]
    assert (np.diff(gate.steps) < 0).all()
    for price in (0.05, 0.2, 0.4):
        ours = (worth - price)[steps > price].sum()
        best = max((worth - price)[confidence < t].sum() for t in [*confidence, 2.0])
        assert ours == pytest.approx(best, abs=1.0)  # one row in a hundred may fall on the other side


def test_without_the_earlier_answers_it_refuses() -> None:
    case = make_case()
    gate = GainGate.fit(case.evidence, case.right_here, case.right_later, price=0.1)
    for rows in (slice(0, 1), slice(0, 5)):
        bare = rows_of(case.evidence, rows)
        with pytest.raises(ConfigError, match=r"answers of 1 earlier exits, but the evidence has 0; pass earlier"):
            gate.stop(ExitEvidence(1, bare.confidence, bare.probabilities))


def test_another_number_of_classes_is_refused() -> None:
    case = make_case()
    gate = GainGate.fit(case.evidence, case.right_here, case.right_later, price=0.1)
    with pytest.raises(ConfigError, match="fitted on 4 classes, the evidence has 5"):
        gate.stop(make_case(classes=5).evidence)


def test_bad_rows_are_refused() -> None:
    case = make_case()
    with pytest.raises(NotEnoughSamples, match="at least 20 rows"):
        GainGate.fit(rows_of(case.evidence, slice(0, 10)), case.right_here[:10], case.right_later[:10])
    p = case.evidence.probabilities.copy()
    p[3] = np.nan
    evidence = ExitEvidence(1, p.max(-1), p, case.evidence.earlier_labels)
    with pytest.raises(SampleError, match="row 3"):
        GainGate.fit(evidence, case.right_here, case.right_later)


def test_damaged_weights_are_refused() -> None:
    case = make_case()
    gate = GainGate.fit(case.evidence, case.right_here, case.right_later)
    with pytest.raises(ConfigError, match="weights per model"):
        replace(gate, harm=gate.harm[:-1])
    body = json.loads(gate.to_json())
    body["rescue"][0] = float("nan")
    with pytest.raises(ConfigError, match="rescue hold NaN"):
        gate_from_json(json.dumps(body))


@pytest.mark.parametrize("price", [-1.5, 2.0, float("nan")])
def test_a_price_is_in_units_of_one_error(price: float) -> None:
    case = make_case()
    with pytest.raises(ConfigError, match="in units of one error"):
        GainGate.fit(case.evidence, case.right_here, case.right_later, price=price)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=20))
def test_labels_by_hand(pairs: list[tuple[bool, bool]]) -> None:
    here, later = np.array(pairs).T
    rescue, harm = rescue_and_harm(here, later)
    assert rescue.tolist() == [b and not a for a, b in pairs]
    assert harm.tolist() == [a and not b for a, b in pairs]
    assert eefp_label(here, later).tolist() == (~rescue).tolist()
