"""Tiers whose gates ask what earlier exits answered: replayed, in one process, and over the wire."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.manifest import Manifest
from offramp.codecs.registry import get_codec
from offramp.confidence.gates import ThresholdGate
from offramp.errors import ConfigError, OfframpError, SampleError
from offramp.planning.plan import GateSpec
from offramp.planning.replay import replay_exits
from offramp.runtime.answering import Answering
from offramp.runtime.device import Device
from offramp.runtime.earlier import EARLIER_LABELS, parse_labels
from offramp.runtime.first_exit import FirstExit
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.requests import build_request, parse_header, parse_tensors
from offramp.runtime.responses import parse_response
from offramp.runtime.tier import Tier
from tests.runtime.support import plan_of
from tests.support.gated import TIERS, Gated, make_gated
from tests.support.tiny import make_tiny_cascade


@pytest.fixture(scope="module")
def gated(tmp_path_factory: pytest.TempPathFactory) -> Gated:
    return make_gated(tmp_path_factory.mktemp("gated"))


@pytest.mark.parametrize("kind", ["gain", "logistic", "margin", "entropy"])
def test_a_device_leaves_where_the_replay_does(tmp_path: Path, kind: str) -> None:
    gated = make_gated(tmp_path, kind)
    plan = gated.plan(("device",) * 3)
    expected = replay_exits(plan, gated.records)
    assert np.bincount(expected, minlength=3).min() > 100
    with Device(gated.cascade, plan) as device:
        assert device._following.first is not None
        assert device._following.first.asks_gate
        together = device.infer_batch(gated.inputs)
        alone = [device.infer(row) for row in gated.inputs]
    assert [answer.exit for answer in together] == expected.tolist()
    assert [answer.exit for answer in alone] == expected.tolist()


def test_a_threshold_on_the_confidence_asks_no_gate(gated: Gated) -> None:
    tier = Tier(gated.cascade, "device", [plan_of(gated.cascade, ("device",) * 3, (0.6, 0.8))])
    first = FirstExit(tier, tier.route())
    assert not first.asks_gate
    assert not first.keeps_label
    assert first.threshold == np.float32(0.6)


@pytest.mark.parametrize(
    "placement", [TIERS, ("device", "device", "cloud"), ("cloud",) * 3, ("device", "edge", "edge")]
)
def test_labels_follow_the_survivors_over_the_wire(gated: Gated, placement: tuple[str, ...]) -> None:
    plan = gated.plan(placement)
    expected = replay_exits(plan, gated.records)
    exits, alive = np.full(len(gated.inputs), -1), np.arange(len(gated.inputs))
    device = Tier(gated.cascade, "device", [plan])
    run = device.run(device.route(), 0, (gated.inputs,))
    exits[alive] = run.rows.exit
    for name in TIERS[1:]:
        if not len(run.survivors):
            break
        alive = alive[run.survivors]
        tier = Tier(gated.cascade, name, [plan])
        exits_before = tier.earlier_exits(tier.route(), run.cut)
        assert (run.earlier_labels is None) == (exits_before == 0)
        request = ask(gated, plan.plan_id, run.cut, run.tensors, run.earlier_labels)
        header = parse_header(request, tier.manifest)
        labels = None
        if header.has_labels:
            labels = parse_labels(request, tier.manifest, run.cut, header.rows)
            np.testing.assert_array_equal(labels, gated.records.predictions[:exits_before, alive])
        run = tier.run(tier.route(), run.cut, parse_tensors(request, header, tier.manifest), None, labels)
        exits[alive] = run.rows.exit
    assert exits.tolist() == expected.tolist()


def test_labels_stay_at_home_where_no_gate_asks(gated: Gated) -> None:
    plan = gated.plan(("device", "device", "cloud"))  # behind the link there is no gate
    tier = Tier(gated.cascade, "device", [plan])
    assert tier.run(tier.route(), 0, (gated.inputs,)).earlier_labels is None
    plan = plan.model_copy(update={"gates": (plan.gates[0], GateSpec.of(ThresholdGate(0.9)))})
    tier = Tier(gated.cascade, "device", [plan.model_copy(update={"placement": TIERS})])
    assert tier.run(tier.route(), 0, (gated.inputs,)).earlier_labels is None


def ask(
    gated: Gated, plan_id: str, cut: int, tensors: tuple[np.ndarray, ...], labels: np.ndarray | None, codec: str = "raw"
) -> pb.ModelInferRequest:
    manifest, used = gated.cascade.manifest, get_codec(codec)
    payloads = [used.encode(tensor) for tensor in tensors]
    specs = manifest.tensors_at(cut)
    return build_request(manifest.name, cut, plan_id, None, used, specs, tensors, payloads, labels)


@pytest.mark.parametrize("codec", ["raw", "zstd"])
def test_a_tier_answers_with_labels_and_refuses_without(gated: Gated, codec: str) -> None:
    plan = gated.plan(("device", "cloud", "cloud"))
    answering = Answering(Tier(gated.cascade, "cloud", [plan]))
    (hidden,), _ = gated.cascade.segment(0).run_with_logits((gated.inputs[:40],))
    labels = gated.records.predictions[:1, :40]
    reply = asyncio.run(answering.answer(ask(gated, plan.plan_id, 1, (hidden,), labels, codec)))
    found = parse_response(reply, 40, gated.cascade.manifest, "cloud")
    off = plan.model_copy(update={"gates": (GateSpec(threshold=None), plan.gates[1])})
    assert found.exit.tolist() == replay_exits(off, gated.records)[:40].tolist()
    with pytest.raises(SampleError, match=r"compare the answers of the 1 exits before segment 1; send them as"):
        asyncio.run(answering.answer(ask(gated, plan.plan_id, 1, (hidden,), None, codec)))
    answering.close()


def shape(request: pb.ModelInferRequest) -> None:
    request.inputs[1].shape[1] = 2


def datatype(request: pb.ModelInferRequest) -> None:
    request.inputs[1].datatype = "INT64"


def too_short(request: pb.ModelInferRequest) -> None:
    request.raw_input_contents[1] = request.raw_input_contents[1][:-4]


def no_class(request: pb.ModelInferRequest) -> None:
    request.raw_input_contents[1] = np.full(3, 7, "<i4").tobytes()


def twice(request: pb.ModelInferRequest) -> None:
    request.inputs.append(request.inputs[1])
    request.raw_input_contents.append(request.raw_input_contents[1])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (shape, r"must be INT32 of shape \(3, 1\) at segment 1, not 'INT32' of shape \(3, 2\)"),
        (datatype, "must be INT32"),
        (too_short, "has 12 bytes, but 8 were sent"),
        (no_class, r"must hold classes in 0\.\.2"),
        (twice, "the inputs must be"),
    ],
)
def test_damaged_labels_are_refused(gated: Gated, damage: object, words: str) -> None:
    manifest = gated.cascade.manifest
    request = ask(gated, "abc", 1, (np.zeros((3, 8), np.float32),), np.zeros((1, 3), np.int64))
    assert callable(damage)
    damage(request)
    with pytest.raises(SampleError, match=words):
        read(request, manifest)


def test_labels_may_come_value_by_value(gated: Gated) -> None:
    manifest = gated.cascade.manifest
    request = ask(gated, "abc", 1, (np.zeros((3, 8), np.float32),), np.array([[0, 1, 2]]))
    del request.raw_input_contents[:]
    request.inputs[0].contents.fp32_contents.extend([0.0] * 24)
    request.inputs[1].contents.int_contents.extend([0, 1, 2])
    assert read(request, manifest).tolist() == [[0, 1, 2]]
    assert request.inputs[1].name == EARLIER_LABELS


def read(request: pb.ModelInferRequest, manifest: Manifest) -> np.ndarray:
    header = parse_header(request, manifest)
    return parse_labels(request, manifest, header.cut, header.rows)


def test_gates_of_another_cascade_are_refused_at_once(gated: Gated, tmp_path: Path) -> None:
    other = make_tiny_cascade(tmp_path, segments=3, classes=5)
    plan = gated.plan().model_copy(update={"cascade_fingerprint": other.manifest.fingerprint})
    with pytest.raises(ConfigError, match="fitted on 3 classes"):
        Tier(other, "device", [plan])
    with pytest.raises(OfframpError, match="fitted on 3 classes"):
        Device(other, plan, "127.0.0.1:1")
