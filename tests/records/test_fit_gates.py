"""Gates fitted on half of the tune rows, and certificates of their scores."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from offramp.cli.common import GateKind
from offramp.confidence.certificate import Certificate
from offramp.confidence.gates import ExitEvidence, GainGate
from offramp.confidence.risks import AccuracyLoss
from offramp.confidence.scores import softmax
from offramp.confidence.settings import evaluate
from offramp.errors import CertificateError, ConfigError, NotEnoughSamples, RecordMismatch
from offramp.records.certify import certify, check
from offramp.records.confidences import confidences, gate_scores
from offramp.records.fit_gates import GATE_KINDS, choosing_rows, fit_gates, fitting_rows
from tests.records.test_certify import records

TEMPERATURES = (1.5, 0.8, 1.0)


def test_the_halves_share_no_row_and_hang_on_no_order() -> None:
    whole = records()
    fit, choose = fitting_rows(whole), choosing_rows(whole, fit_gates(whole))
    assert not set(fit.row) & set(choose.row)
    assert sorted([*fit.row, *choose.row]) == whole.on("tune").row.tolist()
    shuffled = whole.take(np.random.default_rng(1).permutation(len(whole)))
    assert set(fitting_rows(shuffled).row) == set(fit.row)


def test_gates_that_fit_nothing_choose_on_all_tune_rows() -> None:
    for kind in ("max_probability", "margin", "entropy"):
        assert len(choosing_rows(records(), fit_gates(records(), kind=kind))) == 1000


@pytest.mark.parametrize("kind", GATE_KINDS)
def test_every_kind_scores_as_its_gate_does(kind: str) -> None:
    whole = records()
    gates = fit_gates(whole, TEMPERATURES, kind)
    scores = gate_scores(whole, TEMPERATURES, gates)
    assert scores.shape == (2, len(whole))
    assert scores.dtype == np.float32
    for index, gate in enumerate(gates):
        probabilities = softmax(whole.logits[index].astype(np.float64) / TEMPERATURES[index])
        evidence = ExitEvidence(index, probabilities.max(-1), probabilities, whole.predictions[:index])
        np.testing.assert_allclose(scores[index], gate.score(evidence), atol=2e-5)


def test_the_command_line_offers_every_kind() -> None:
    assert GateKind.__args__ == GATE_KINDS  # type: ignore[attr-defined]  # Literal is no class


def test_gain_gates_ask_what_every_earlier_exit_answered() -> None:
    assert [gate.earlier_exits for gate in fit_gates(records())] == [0, 1]
    assert [gate.earlier_exits for gate in fit_gates(records(), kind="logistic")] == [0, 0]


def test_what_cannot_be_fitted_is_refused() -> None:
    with pytest.raises(ConfigError, match="no gates of kind 'best'; there are max_probability"):
        fit_gates(records(), kind="best")
    with pytest.raises(RecordMismatch, match="2 temperatures for the 3 exits"):
        fit_gates(records(), (1.0, 1.0))
    with pytest.raises(NotEnoughSamples, match="at least 20 rows, not 10"):
        fit_gates(records(60))
    with pytest.raises(NotEnoughSamples, match="no tune rows"):
        fit_gates(records().on("test"))


def test_a_certificate_of_gain_gates_is_made_again_and_names_them() -> None:
    whole = records()
    gates = fit_gates(whole, TEMPERATURES)
    made = certify(whole, [AccuracyLoss(0.03)], 0.1, temperatures=TEMPERATURES, gates=gates)
    again = Certificate.from_json(made.to_json())
    assert again == made
    assert again.gates == gates
    check(again, whole)
    assert f"for all {len(made.settings)} gain gate settings at once" in made.statement()
    assert made.tune_rows == 500
    thresholds = made.settings[-1]
    assert made.covers(thresholds, [g.with_threshold(t) for g, t in zip(gates, thresholds, strict=True)])
    assert not made.covers(thresholds)
    test = whole.on("test")
    share, accuracy = evaluate(gate_scores(test, TEMPERATURES, gates), test.correct, made.thresholds[-1:])
    assert share[0, -1] < 0.9
    assert test.correct[-1].mean() - accuracy[0] < 0.03


def test_a_certificate_of_other_gates_does_not_follow_from_the_records() -> None:
    whole = records()
    gates = fit_gates(whole, TEMPERATURES)
    made = certify(whole, [AccuracyLoss(0.03)], 0.1, temperatures=TEMPERATURES, gates=gates)
    first = gates[0]
    assert isinstance(first, GainGate)
    turned = replace(first, rescue=first.harm, harm=first.rescue)
    with pytest.raises(CertificateError, match="does not follow"):
        check(replace(made, gates=(turned, gates[1])), whole)
    body = json.loads(made.to_json())
    body["gates"][0]["earlier"] = 2
    with pytest.raises(CertificateError, match="not a certificate"):
        Certificate.from_json(json.dumps(body))


def test_without_other_gates_a_certificate_looks_as_it_did() -> None:
    whole = records()
    plain = certify(whole, [AccuracyLoss(0.03)], 0.1)
    same = certify(whole, [AccuracyLoss(0.03)], 0.1, gates=fit_gates(whole, kind="max_probability"))
    assert plain == same
    assert "gates" not in json.loads(plain.to_json())
    np.testing.assert_array_equal(gate_scores(whole, TEMPERATURES), confidences(whole, TEMPERATURES))
