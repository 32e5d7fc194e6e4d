"""A plain model server as the next tier."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.store import Cascade
from offramp.errors import ConfigError, PeerRefused
from offramp.runtime.device import Device
from offramp.runtime.failover import Failover
from offramp.runtime.loop import run_in_background
from offramp.runtime.plain import MOST_ROWS, read_answer, translate
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.requests import build_request
from offramp.runtime.tensors import codec_named
from offramp.runtime.tier import Tier
from offramp.runtime.upstreams import require_upstream, upstream_to
from tests.runtime.plain_server import plain_server
from tests.runtime.support import eventually, local_chain, plan_of
from tests.runtime.test_service import serving
from tests.support.tiny import make_tiny_cascade, tiny_rows

GATES = (0.6, 0.8)
SPLIT = ("device", "cloud", "cloud")


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


def device_for(cascade: Cascade, upstream: str, codec: str = "raw", deadline_s: float = 10.0) -> Device:
    return Device(cascade, plan_of(cascade, SPLIT, GATES, codec), upstream, deadline_s=deadline_s)


def expected_of(cascade: Cascade, rows: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> list[tuple[int, int]]:
    """Label and exit of every row when there is no gate behind the first."""
    return [(label, exit_index) for label, exit_index, _ in local_chain(cascade, rows, (GATES[0], None))]


@pytest.mark.parametrize("codec", ["raw", "zstd"])
def test_the_last_exit_answers_who_goes_on(cascade: Cascade, codec: str) -> None:
    rows = tiny_rows(40)
    expected = local_chain(cascade, rows, (GATES[0], None))
    with plain_server(cascade) as (address, server), device_for(cascade, address, codec) as device:
        answers = [device.infer(row) for row in rows]
        together = device.infer_batch(rows)
    assert [(a.label, a.exit) for a in answers] == [row[:2] for row in expected]
    assert [(a.label, a.exit) for a in together] == [row[:2] for row in expected]
    assert {a.tier for a in answers} == {"device", "cloud"}
    assert not any(a.degraded for a in answers + together)
    for answer, (_, _, probabilities) in zip(answers, expected, strict=True):
        np.testing.assert_allclose(answer.probabilities, probabilities, atol=1e-5)
    assert {request.model_name for request in server.asked} == {"tiny-from-1"}
    assert all(not request.parameters and not request.outputs for request in server.asked)


def test_values_one_by_one_and_probabilities_alone_are_read(cascade: Cascade) -> None:
    rows = tiny_rows(10)
    with plain_server(cascade) as (address, server), device_for(cascade, address) as device:
        for typed, outputs in ((True, ("logits",)), (False, ("probabilities",)), (True, ("probabilities",))):
            server.typed, server.outputs = typed, outputs
            found = [(answer.label, answer.exit) for answer in device.infer_batch(rows)]
            assert found == expected_of(cascade, rows)


def test_the_plan_decides_the_temperature(cascade: Cascade) -> None:
    plan = plan_of(cascade, SPLIT, (None, None)).model_copy(update={"temperatures": (1.0, 1.0, 3.0)})
    row = tiny_rows(1)
    logits = local_logits(cascade, row)
    with plain_server(cascade) as (address, _), Device(cascade, plan, address) as device:
        answer = device.infer(row[0])
    powers = np.exp(logits / 3.0)
    np.testing.assert_allclose(answer.probabilities, powers / powers.sum(), atol=1e-5)


def local_logits(
    cascade: Cascade, rows: np.ndarray[tuple[int, int], np.dtype[np.float32]]
) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    segments = cascade.load_segments()
    tensors: tuple[np.ndarray[tuple[int, ...], np.dtype[np.float32]], ...] = (rows,)
    for segment in segments[:-1]:
        tensors = segment.run(tensors).hand_over
    logits = segments[-1].run_with_logits(tensors)[1]
    assert logits is not None
    return np.asarray(logits[0])


def test_a_server_without_the_model_is_a_refusal(cascade: Cascade, caplog: pytest.LogCaptureFixture) -> None:
    rows = tiny_rows(20)
    with plain_server(cascade, cuts=[2]) as (address, _), device_for(cascade, address) as device:
        reasons = {answer.degraded for answer in device.infer_batch(rows)}
    assert reasons == {None, "refused"}
    assert "no model 'tiny-from-1' there" in caplog.text
    assert "offramp export" in caplog.text


@pytest.mark.parametrize("what", ["shape", "datatype", "short", "nan", "name"])
def test_answers_that_are_none_are_refused(cascade: Cascade, what: str) -> None:
    def spoil(reply: pb.ModelInferResponse) -> None:
        for index, output in enumerate(reply.outputs):
            if what == "shape":
                output.shape[1] += 1
            elif what == "datatype":
                output.datatype = "FP64"
            elif what == "name":
                output.name += "s"
            elif what == "short":
                reply.raw_output_contents[index] = reply.raw_output_contents[index][:-4]
            else:
                reply.raw_output_contents[index] = b"\xff" * len(reply.raw_output_contents[index])

    with plain_server(cascade) as (address, server), device_for(cascade, address) as device:
        server.spoil = spoil
        reasons = {answer.degraded for answer in device.infer_batch(tiny_rows(20))}
    assert reasons == {None, "refused"}


def test_a_server_that_is_not_ready_is_not_asked(cascade: Cascade) -> None:
    with plain_server(cascade) as (address, server):
        server.ready = False
        tier = Tier(cascade, "device", [plan_of(cascade, SPLIT, GATES)])

        async def look() -> tuple[bool, bool]:
            upstream = upstream_to(address, tier)
            upstream.start()
            try:
                await eventually(lambda: "not ready" in str(upstream.down()))
                before = upstream.connected
                server.ready = True
                return before, await upstream.wait_connected(5.0)
            finally:
                await upstream.close()

        assert run_in_background(look()) == (False, True)


def test_a_server_that_goes_is_noticed_and_one_that_comes_back_is_asked(cascade: Cascade) -> None:
    rows = tiny_rows(20)
    with plain_server(cascade) as (address, _), device_for(cascade, address) as device:
        assert {answer.degraded for answer in device.infer_batch(rows)} == {None}
    with device_for(cascade, address, deadline_s=2.0) as device:
        begin_s = time.monotonic()
        assert {answer.degraded for answer in device.infer_batch(rows)} == {None, "link_down"}
        assert time.monotonic() - begin_s < 2.0


def test_the_trace_goes_along_as_metadata(cascade: Cascade) -> None:
    plan = plan_of(cascade, SPLIT, GATES)
    tier, rows = Tier(cascade, "device", [plan]), np.ones((2, 8), np.float32)
    raw = codec_named("raw")
    message = build_request(
        "tiny", 1, plan.plan_id, 5.0, raw, cascade.manifest.tensors_at(1), [rows], [raw.encode(rows)]
    )
    message.parameters["traceparent"].string_param = "00-aa-bb-01"
    with plain_server(cascade) as (address, server):

        async def ask() -> pb.ModelInferResponse:
            failover = Failover([upstream_to(address, tier)], tier.clock.now)
            failover.start()
            try:
                assert await failover.wait_connected(5.0)
                return await failover.send(message, 5.0)
            finally:
                await failover.close()

        reply = run_in_background(ask())
    assert server.metadata[0]["traceparent"] == "00-aa-bb-01"
    assert [output.name for output in reply.outputs][:2] == ["label", "probabilities"]


def test_translating_takes_only_our_own_requests(cascade: Cascade) -> None:
    tier = Tier(cascade, "device", [plan_of(cascade, SPLIT, GATES)])
    message = pb.ModelInferRequest(model_name="other")
    with pytest.raises(ConfigError, match="no model 'other'"):
        translate(message.SerializeToString(), tier)


def test_an_answer_without_outputs_is_refused(cascade: Cascade) -> None:
    plan = plan_of(cascade, SPLIT, GATES)
    tier, rows, raw = Tier(cascade, "device", [plan]), np.ones((1, 8), np.float32), codec_named("raw")
    specs = cascade.manifest.tensors_at(1)
    data = build_request("tiny", 1, plan.plan_id, None, raw, specs, [rows], [raw.encode(rows)]).SerializeToString()
    with pytest.raises(PeerRefused, match="its outputs are none"):
        read_answer([pb.ModelInferResponse()], [translate(data, tier)], tier, "cloud:1")


def test_many_rows_go_in_parts_and_come_back_in_order(cascade: Cascade) -> None:
    rows = tiny_rows(300)
    with plain_server(cascade) as (address, server), device_for(cascade, address) as device:
        found = [(answer.label, answer.exit) for answer in device.infer_batch(rows)]
    assert found == expected_of(cascade, rows)
    sizes = [request.inputs[0].shape[0] for request in server.asked]
    assert len(sizes) > 2
    assert max(sizes) == MOST_ROWS
    assert sum(sizes) == sum(exit_index > 0 for _, exit_index in found)


@pytest.mark.parametrize("text", ["http://h:1", "oip://h", "oip://", "h"])
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        require_upstream(text)


def test_a_tier_in_the_middle_asks_a_model_server_too(cascade: Cascade) -> None:
    rows, plan = tiny_rows(30), plan_of(cascade, ("device", "edge", "cloud"), GATES)
    expected = [row[:2] for row in local_chain(cascade, rows, GATES)]
    with (
        plain_server(cascade) as (address, server),
        serving(cascade, "edge", plan, address) as (edge, _),
        Device(cascade, plan, edge, deadline_s=10.0) as device,
    ):
        answers = device.infer_batch(rows)
    assert [(answer.label, answer.exit) for answer in answers] == expected
    assert {answer.tier for answer in answers} == {"device", "edge", "cloud"}
    assert {request.model_name for request in server.asked} == {"tiny-from-2"}
