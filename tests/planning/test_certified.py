"""Certified plans: gates from the certificate alone, for every network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from offramp.confidence.certificate import Certificate
from offramp.confidence.risks import AccuracyLoss
from offramp.errors import CertificateError, ConfigError, NotEnoughSamples
from offramp.planning.objective import Objective
from offramp.planning.plan import GateSpec, Plan, load_plan
from offramp.planning.result import SearchResult
from offramp.planning.search import search
from offramp.records.certify import certify
from tests.support.instances import Instance, make_instance

LOSS, CONFIDENCE = 0.05, 0.9


@pytest.fixture(scope="module")
def case() -> Instance:
    return make_instance(3, segments=4, tiers=3, exits=3, rows=6000)


def find(case: Instance, objective: Objective, certificate: Certificate | None = None) -> SearchResult:
    return search(
        case.records, case.profiles, case.network, objective, temperatures=case.temperatures, certificate=certificate
    )


def test_the_plan_carries_the_certificate_of_its_gates(case: Instance, tmp_path: Path) -> None:
    plan = find(case, Objective(accuracy_loss=LOSS, confidence=CONFIDENCE)).plan
    assert plan.certificate is not None
    assert plan.certificate.risks == (AccuracyLoss(LOSS),)
    assert plan.certificate.delta == pytest.approx(0.1)
    assert plan.certificate.covers(tuple(gate.threshold for gate in plan.gates))
    plan.save(tmp_path / "plan.json")
    assert load_plan(tmp_path / "plan.json") == plan


def test_one_certificate_serves_every_network(case: Instance) -> None:
    certificate = certify(case.records, [AccuracyLoss(LOSS)], 0.1, temperatures=case.temperatures)
    chosen = set()
    for bandwidth_bps in (1e4, 1e7, 1e12):
        links = tuple(replace(link, bandwidth_bps=bandwidth_bps, rtt_s=0.0) for link in case.network.links)
        moved = replace(case, network=replace(case.network, links=links))
        plan = find(moved, Objective(accuracy_loss=LOSS), certificate).plan
        gates = tuple(gate.threshold for gate in plan.gates)
        assert certificate.covers(gates)
        chosen.add((plan.placement, gates))
    assert len(chosen) > 1


def test_a_certificate_of_other_temperatures_or_another_build_is_refused(case: Instance) -> None:
    certificate = certify(case.records, [AccuracyLoss(LOSS)], 0.1, temperatures=case.temperatures)
    warmer = replace(certificate, temperatures=tuple(2 * t for t in certificate.temperatures))
    with pytest.raises(CertificateError, match="other temperatures"):
        find(case, Objective(), warmer)
    with pytest.raises(CertificateError, match="another build"):
        find(case, Objective(), replace(certificate, cascade_fingerprint="0" * 64))


def test_a_plan_whose_gates_the_certificate_does_not_cover_is_refused(case: Instance) -> None:
    plan = find(case, Objective(accuracy_loss=LOSS, confidence=CONFIDENCE)).plan
    text = plan.model_copy(update={"gates": (GateSpec(threshold=0.0),) * len(plan.gates)}).to_json()
    with pytest.raises(ConfigError, match="does not cover these gates"):
        Plan.from_json(text)


def test_too_few_rows_to_certify_say_so(case: Instance) -> None:
    with pytest.raises(NotEnoughSamples, match="takes at least 6,905"):
        find(case, Objective(accuracy_loss=0.001, confidence=0.999))
