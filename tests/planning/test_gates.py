"""Plans whose gates decide on another score than the highest probability."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from offramp.confidence.gates import GainGate, Gate, MarginGate, ThresholdGate
from offramp.confidence.risks import AccuracyLoss
from offramp.confidence.settings import exits_taken
from offramp.errors import CertificateError, ConfigError
from offramp.planning.objective import Objective
from offramp.planning.plan import GateSpec, Plan
from offramp.planning.replay import plan_thresholds, replay_exits
from offramp.planning.search import search
from offramp.policies.fixed import FixedGates
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.policies.stream import stream_of
from offramp.records.certify import certify, check
from offramp.records.confidences import confidences, gate_scores
from offramp.records.fit_gates import choosing_rows, fit_gates
from tests.support.gated import make_gated
from tests.support.instances import Instance, make_instance

#: written before plans knew other gates
OLD = (
    '{"plan_id": "ecfcde997d3e", "schema_version": 1, "cascade": "digits", "cascade_fingerprint": "f", "tiers": '
    '["device", "cloud"], "placement": ["device", "cloud"], "gates": [{"score": "max_probability", "threshold": 0.9}], '
    '"temperatures": [1.0, 1.0], "codec": "raw", "precision": "fp32", "planner": "offramp", "objective": {"minimise": '
    '"latency", "accuracy_loss": 0.01, "confidence": null, "deadline_s": null, "deadline_quantile": 1.0}, "predicted": '
    'null, "evidence": null, "certificate": {"cascade": "digits", "cascade_fingerprint": "f", "variant": "fp32", '
    '"data": "digits", "data_sha256": "d", "split_seed": 0, "temperatures": [1.0, 1.0], "risks": [{"limit": 0.01, '
    '"group": null, "kind": "accuracy_loss"}], "delta": 0.05, "tune_rows": 359, "calibrate_rows": 359, "tested": 12, '
    '"settings": [[null], [0.9]], "method": "fixed sequence, safest first on the tune rows; exact tests '
    'on the calibrate rows", "schema_version": 1}}'
)


@pytest.fixture(scope="module")
def case() -> Instance:
    return make_instance(3, segments=4, tiers=3, exits=3, rows=6000)


def gates_of(case: Instance, kind: str) -> tuple[Gate, ...]:
    return fit_gates(case.records, case.temperatures, kind)


def test_old_plans_are_read_and_written_as_they_were() -> None:
    plan = Plan.from_json(OLD)
    assert plan.gates[0].decides == ThresholdGate(0.9)
    assert plan.scores == ()
    assert plan.certificate is not None
    assert plan.certificate.certificate_id == "328b6c3dfa5a"
    old, new = json.loads(OLD), json.loads(plan.to_json())
    assert new["plan_id"] == old["plan_id"]
    assert {key: new[key] for key in old if key != "objective"} == {k: v for k, v in old.items() if k != "objective"}
    assert new["objective"].items() >= old["objective"].items()


@pytest.mark.parametrize("kind", ["gain", "logistic", "margin", "entropy"])
def test_a_plan_of_other_gates_survives_its_file(tmp_path: Path, kind: str) -> None:
    gated = make_gated(tmp_path, kind, rows=400)
    plan = gated.plan()
    again = Plan.from_json(plan.to_json())
    assert again == plan
    assert tuple(gate.decides for gate in again.gates) == gated.gates
    body = json.loads(plan.to_json())["gates"][0]
    assert body["score"] == kind
    assert not {"kind", "threshold"} & set(body["gate"])


def test_the_name_of_a_plan_covers_its_gates(tmp_path: Path) -> None:
    plan = make_gated(tmp_path, rows=400).plan()
    without = plan.model_copy(update={"gates": tuple(GateSpec(threshold=g.threshold) for g in plan.gates)})
    assert plan.plan_id != without.plan_id
    text = plan.to_json().replace('"earlier": 0', '"earlier": 0, "colour": 1')
    with pytest.raises(ConfigError, match="not a gate"):
        Plan.from_json(text)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"score": "gain", "threshold": 0.5}, "score is 'gain'"),
        ({"score": "nothing", "threshold": 0.5, "gate": {}}, "unknown gate kind 'nothing'"),
        ({"score": "max_probability", "threshold": 0.5, "gate": {}}, "unknown gate kind"),
        ({"score": "margin", "threshold": 1.5, "gate": {}}, "less than or equal to 1"),
    ],
)
def test_gates_that_are_none_are_refused(body: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        GateSpec.model_validate(body)


def test_a_gate_of_another_exit_is_refused(tmp_path: Path) -> None:
    plan = make_gated(tmp_path, rows=400).plan()
    text = json.dumps({**plan.model_dump(mode="json"), "gates": plan.model_dump(mode="json")["gates"][::-1]})
    with pytest.raises(ConfigError, match="compares the answers of 1 earlier exits, but 0 come before it"):
        Plan.from_json(text)


@pytest.mark.parametrize("kind", ["gain", "margin"])
def test_the_search_chooses_thresholds_on_the_score(case: Instance, kind: str) -> None:
    gates = gates_of(case, kind)
    found = search(
        case.records,
        case.profiles,
        case.network,
        Objective(accuracy_loss=0.02),
        temperatures=case.temperatures,
        gates=gates,
    )
    plan = found.plan
    assert [gate.score for gate in plan.gates] == [kind] * 2
    choosing = choosing_rows(case.records, gates)
    assert plan.evidence is not None
    assert plan.evidence.tune_rows == len(choosing) == (1500 if kind == "gain" else 3000)
    taken = exits_taken(gate_scores(choosing, case.temperatures, gates), plan_thresholds(plan))
    np.testing.assert_array_equal(taken, replay_exits(plan, choosing))
    kept = choosing.correct[taken, np.arange(len(choosing))].mean()
    assert kept >= choosing.correct[-1].mean() - 0.02
    policy = FixedGates.start(Setting(tuple(gate.threshold for gate in plan.gates)))
    replayed = replay(policy, stream_of(choosing, temperatures=case.temperatures, gates=plan.scores))
    np.testing.assert_array_equal(replayed.exit, taken)


def test_thresholds_on_the_confidence_are_no_gates(case: Instance) -> None:
    gates = [ThresholdGate(None)] * 2
    same = [
        search(case.records, case.profiles, case.network, temperatures=case.temperatures, gates=given)
        for given in (None, gates)
    ]
    assert same[0] == same[1]
    scores = gate_scores(case.records, case.temperatures, gates)
    np.testing.assert_array_equal(scores, confidences(case.records, case.temperatures))


def test_a_certified_plan_decides_on_the_certified_gates(case: Instance) -> None:
    gates = gates_of(case, "gain")
    certificate = certify(case.records, [AccuracyLoss(0.05)], 0.1, temperatures=case.temperatures, gates=gates)
    plan = search(
        case.records,
        case.profiles,
        case.network,
        Objective(accuracy_loss=0.05),
        temperatures=case.temperatures,
        certificate=certificate,
    ).plan
    assert plan.scores == gates
    assert Plan.from_json(plan.to_json()) == plan
    text = plan.model_copy(update={"gates": tuple(GateSpec(threshold=g.threshold) for g in plan.gates)}).to_json()
    with pytest.raises(ConfigError, match="does not cover these gates"):
        Plan.from_json(text)
    with pytest.raises(CertificateError, match="made with other gates"):
        search(
            case.records,
            case.profiles,
            case.network,
            temperatures=case.temperatures,
            certificate=certificate,
            gates=[MarginGate(None)] * 2,
        )


def test_a_plan_certified_on_the_way_holds_its_gates(case: Instance) -> None:
    gates = gates_of(case, "logistic")
    objective = Objective(accuracy_loss=0.05, confidence=0.9)
    found = search(
        case.records, case.profiles, case.network, objective, temperatures=case.temperatures, gates=gates
    ).plan
    assert found.certificate is not None
    assert found.certificate.gates == found.scores == gates
    check(found.certificate, case.records)


def test_too_few_gates_are_refused(case: Instance) -> None:
    gates = gates_of(case, "gain")
    assert isinstance(gates[1], GainGate)
    with pytest.raises(ConfigError, match="2 early exits need 2 gates, not 1"):
        search(case.records, case.profiles, case.network, temperatures=case.temperatures, gates=gates[:1])
