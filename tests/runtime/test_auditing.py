"""Answers asked for again at the last exit, and the alarm that hears of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.store import Cascade
from offramp.confidence.alarm import Alarm
from offramp.errors import ConfigError
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from offramp.runtime.audit import Audit, audit_plan
from offramp.runtime.device import Device
from offramp.runtime.json_logs import JsonLines
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from tests.runtime.support import fake_peer, local_chain, plan_of
from tests.runtime.test_service import serving
from tests.support.tiny import make_tiny_cascade, tiny_rows

GATES = (0.6, 0.8)
EACH = ("device", "edge", "cloud")


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


def read(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("together", [False, True])
def test_every_answer_is_audited_against_the_last_exit(cascade: Cascade, tmp_path: Path, together: bool) -> None:
    plan, rows, log = plan_of(cascade, ("device", "edge", "edge"), GATES), tiny_rows(60), tmp_path / "audit.jsonl"
    planned, last = local_chain(cascade, rows, GATES), local_chain(cascade, rows, (None, None))
    audit = Audit(share=1.0, limit=0.9, delta=0.01, log=log)
    with serving(cascade, "edge", plan) as (edge, _), Device(cascade, plan, edge, audit=audit) as device:
        answers = device.infer_batch(rows) if together else [device.infer(row) for row in rows]
        assert device.auditor is not None
        device.auditor.flush()
        auditor = device.auditor
    assert [(answer.label, answer.exit) for answer in answers] == [one[:2] for one in planned]
    differs = [mine[0] != reference[0] for mine, reference in zip(planned, last, strict=True)]
    assert any(differs)
    assert (auditor.audited, auditor.differed, auditor.lost) == (60, sum(differs), 0)
    assert auditor.loss == pytest.approx(np.mean(differs))
    lines = read(log)
    assert [line["loss"] for line in lines] == [float(one) for one in differs]
    assert [line["reference"] for line in lines] == [reference[0] for reference in last]
    assert {line["propensity"] for line in lines} == {1.0}
    assert {line["plan_id"] for line in lines} == {plan.plan_id}
    assert auditor.alarm.audited == 60


def test_a_seeded_share_and_nothing_of_the_answer_decides(cascade: Cascade, tmp_path: Path) -> None:
    plan, rows = plan_of(cascade, EACH, (0.0, 0.0)), tiny_rows(400)
    drawn = []
    with serving(cascade, "edge", plan) as (edge, _):
        for run, order in enumerate((rows, rows[::-1])):
            audit = Audit(share=0.1, limit=0.5, seed=3, log=tmp_path / f"{run}.jsonl")
            with Device(cascade, plan, edge, audit=audit) as device:
                for row in order:
                    device.infer(row)
            drawn.append([line["sample"] for line in read(tmp_path / f"{run}.jsonl")])
    assert drawn[0] == drawn[1]
    assert 20 < len(drawn[0]) < 60


def test_the_alarm_is_raised_once(cascade: Cascade, caplog: pytest.LogCaptureFixture) -> None:
    """Everything leaves at the first exit, which differs from the last one more often than is tolerated."""
    plan, raised = plan_of(cascade, EACH, (0.0, 0.0)), list[Alarm]()
    audit = Audit(share=1.0, limit=0.01, delta=0.05, on_alarm=raised.append)
    with serving(cascade, "edge", plan) as (edge, _), Device(cascade, plan, edge, audit=audit) as device:
        for row in tiny_rows(100):
            device.infer(row)
        assert device.auditor is not None
        device.auditor.flush()
        assert device.auditor.alarm.raised_at is not None
    assert len(raised) == 1
    (record,) = (record for record in caplog.records if "alarm" in record.message)
    line = json.loads(JsonLines().format(record))
    assert (line["event"], line["limit"]) == ("alarm raised", 0.01)
    assert line["sentence"].startswith("the alarm is raised: ")


def test_answers_do_not_wait_for_a_peer_that_never_answers(cascade: Cascade) -> None:
    plan = plan_of(cascade, EACH, (0.0, 0.0))

    async def silent(request: pb.ModelInferRequest) -> None:
        return None

    with fake_peer(silent) as address, Device(cascade, plan, address, audit=Audit(share=1.0)) as device:
        answers = [device.infer(row) for row in tiny_rows(300)]
        assert max(answer.latency_s for answer in answers) < 0.5
        assert {answer.degraded for answer in answers} == {None}
        auditor = device.auditor
    assert auditor is not None
    assert auditor.audited == 0
    assert auditor.lost == 300


def test_what_cannot_be_audited_is_said(cascade: Cascade) -> None:
    plan = plan_of(cascade, EACH, GATES)
    with pytest.raises(ConfigError, match="no upstream"):
        Device(cascade, plan_of(cascade, ("device",) * 3, GATES), audit=Audit())
    alone = Plan.model_validate({**plan.model_dump(), "tiers": ("device",), "placement": ("device",) * 3})
    with pytest.raises(ConfigError, match="one tier only"):
        audit_plan(alone)
    with pytest.raises(ConfigError, match="input_stays"):
        audit_plan(plan.model_copy(update={"objective": Objective(input_stays=True)}))
    for share, limit, delta in ((0.0, 0.1, 0.1), (1.1, 0.1, 0.1), (0.1, 0.0, 0.1), (0.1, 0.1, 1.0)):
        with pytest.raises(ConfigError):
            Audit(share, limit, delta)
