"""The protocol's calls, asked by a plain gRPC client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import numpy as np
import pytest

from offramp.cascade.store import Cascade
from offramp.planning.plan import Plan
from offramp.runtime.answering import Answering
from offramp.runtime.failover import Failover
from offramp.runtime.loop import run_in_background
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.requests import build_request
from offramp.runtime.responses import parse_response
from offramp.runtime.service import Service, handlers
from offramp.runtime.tensors import codec_named
from offramp.runtime.tier import Tier
from offramp.runtime.upstreams import upstream_to
from tests.runtime.support import local_chain, plan_of
from tests.support.tiny import make_tiny_cascade, tiny_rows

GATES = (0.6, 0.8)


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


@contextmanager
def serving(cascade: Cascade, tier: str, plan: Plan, upstream: str | None = None) -> Iterator[tuple[str, Answering]]:
    """A tier's service in this process; yields its address."""

    async def start() -> tuple[Any, int, Answering]:
        here = Tier(cascade, tier, [plan])
        next_tier = None
        if upstream is not None:
            next_tier = Failover([upstream_to(upstream, here)], here.clock.now)
            next_tier.start()
            assert await next_tier.wait_connected(5.0)
        answering = Answering(here, next_tier)
        server: Any = grpc.aio.server()
        server.add_generic_rpc_handlers((handlers(Service(answering)),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port, answering

    server, port, answering = run_in_background(start())
    try:
        yield f"127.0.0.1:{port}", answering
    finally:
        if answering.upstream is not None:
            run_in_background(answering.upstream.close())
        run_in_background(server.stop(None))
        answering.close()


def call(address: str, method: str, request: Any, reply: Any) -> Any:
    """One unary call, by the synchronous client."""
    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary(f"/inference.GRPCInferenceService/{method}", type(request).SerializeToString, reply)
        return ask(request, timeout=10)


def stream(address: str, requests: list[Any]) -> list[Any]:
    """All requests over one stream."""
    with grpc.insecure_channel(address) as channel:
        ask = channel.stream_stream(
            "/inference.GRPCInferenceService/ModelStreamInfer",
            pb.ModelInferRequest.SerializeToString,
            pb.ModelStreamInferResponse.FromString,
        )
        return list(ask(iter(requests), timeout=10))


def request_for(cascade: Cascade, plan: Plan | None, rows: Any, request_id: str = "1") -> Any:
    raw = codec_named("raw")
    message = build_request(
        cascade.name, 0, plan.plan_id if plan else "", 5.0, raw, cascade.manifest.inputs, [rows], [raw.encode(rows)]
    )
    message.id = request_id
    return message


def test_what_it_says_of_itself(cascade: Cascade) -> None:
    with serving(cascade, "cloud", plan_of(cascade, ("cloud",) * 3, GATES)) as (address, answering):
        assert call(address, "ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse.FromString).live
        assert call(address, "ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse.FromString).ready
        for name, ready in (("tiny", True), ("other", False)):
            reply = call(address, "ModelReady", pb.ModelReadyRequest(name=name), pb.ModelReadyResponse.FromString)
            assert reply.ready is ready
        server = call(address, "ServerMetadata", pb.ServerMetadataRequest(), pb.ServerMetadataResponse.FromString)
        assert server.name == "offramp"
        model = call(
            address, "ModelMetadata", pb.ModelMetadataRequest(name="tiny"), pb.ModelMetadataResponse.FromString
        )
        assert [(t.name, t.datatype, list(t.shape)) for t in model.inputs] == [("x", "FP32", [-1, 4])]
        assert [t.name for t in model.outputs] == [
            "label", "probabilities", "confidence", "exit", "tier", "degraded",
        ]  # fmt: skip
        index = call(address, "RepositoryIndex", pb.RepositoryIndexRequest(), pb.RepositoryIndexResponse.FromString)
        assert [(entry.name, entry.state) for entry in index.models] == [("tiny", "READY")]
        with pytest.raises(grpc.RpcError) as caught:
            call(address, "ModelMetadata", pb.ModelMetadataRequest(name="x"), pb.ModelMetadataResponse.FromString)
        assert caught.value.code() == grpc.StatusCode.NOT_FOUND
        answering.draining = True
        assert not call(address, "ServerReady", pb.ServerReadyRequest(), pb.ServerReadyResponse.FromString).ready


def test_unary_and_stream_answer_alike(cascade: Cascade) -> None:
    rows = tiny_rows(10)
    expected = [row[:2] for row in local_chain(cascade, rows, GATES)]
    plan = plan_of(cascade, ("cloud",) * 3, GATES)
    with serving(cascade, "cloud", plan) as (address, _):
        unary = call(address, "ModelInfer", request_for(cascade, None, rows), pb.ModelInferResponse.FromString)
        (streamed,) = stream(address, [request_for(cascade, plan, rows)])
    for message in (unary, streamed.infer_response):
        found = parse_response(message, 10, cascade.manifest, "cloud")
        assert list(zip(found.label.tolist(), found.exit.tolist(), strict=True)) == expected
        assert found.tier == ["cloud"] * 10
        assert set(found.compute_s) == {"cloud"}


def test_outputs_may_be_chosen(cascade: Cascade) -> None:
    message = request_for(cascade, None, tiny_rows(1))
    message.outputs.add(name="exit")
    with serving(cascade, "cloud", plan_of(cascade, ("cloud",) * 3, GATES)) as (address, _):
        reply = call(address, "ModelInfer", message, pb.ModelInferResponse.FromString)
    assert [output.name for output in reply.outputs] == ["exit"]


def test_an_error_ends_its_request_not_the_stream(cascade: Cascade) -> None:
    plan = plan_of(cascade, ("cloud",) * 3, GATES)
    good, wrong_shape, wrong_plan, wrong_model = (
        request_for(cascade, plan, tiny_rows(1), request_id) for request_id in "abcd"
    )
    wrong_shape.inputs[0].shape[1] = 5
    wrong_plan.parameters["plan"].string_param = "unheard"
    wrong_model.model_name = "other"
    with serving(cascade, "cloud", plan) as (address, answering):
        replies = stream(address, [wrong_shape, wrong_plan, wrong_model, good])
        for bad, code in ((wrong_shape, "INVALID_ARGUMENT"), (wrong_plan, "FAILED_PRECONDITION")):
            with pytest.raises(grpc.RpcError) as caught:
                call(address, "ModelInfer", bad, pb.ModelInferResponse.FromString)
            assert caught.value.code().name == code
    assert [reply.infer_response.id for reply in replies] == ["b", "c", "d", "a"]
    codes = [reply.error_message.split(":")[0] for reply in replies]
    assert codes == ["INVALID_ARGUMENT", "FAILED_PRECONDITION", "NOT_FOUND", ""]
    assert answering.tier.counters.errors == {"INVALID_ARGUMENT": 2, "FAILED_PRECONDITION": 2, "NOT_FOUND": 1}


@pytest.mark.parametrize("placement", [("edge", "cloud", "cloud"), ("edge", "edge", "cloud"), ("cloud",) * 3])
def test_survivors_go_on_and_come_back_in_order(cascade: Cascade, placement: tuple[str, ...]) -> None:
    rows = tiny_rows(50)
    expected = local_chain(cascade, rows, GATES)
    plan = plan_of(cascade, placement, GATES)
    with (
        serving(cascade, "cloud", plan) as (cloud, far),
        serving(cascade, "edge", plan, cloud) as (edge, near),
    ):
        (reply,) = stream(edge, [request_for(cascade, plan, rows, "mine")])
    found = parse_response(reply.infer_response, 50, cascade.manifest, "edge")
    assert reply.infer_response.id == "mine"
    assert found.label.tolist() == [row[0] for row in expected]
    assert found.exit.tolist() == [row[1] for row in expected]
    assert found.tier == [placement[row[1]] for row in expected]
    assert set(found.degraded) == {""}
    passed_on = sum(tier == "cloud" for tier in found.tier)
    assert far.tier.counters.rows == passed_on
    assert sum(near.tier.counters.exit_rows) == 50 - passed_on


def test_without_the_next_tier_its_own_exit_answers(cascade: Cascade) -> None:
    plan = plan_of(cascade, ("edge", "edge", "cloud"), (None, None))
    with serving(cascade, "edge", plan) as (address, answering):
        (reply,) = stream(address, [request_for(cascade, plan, tiny_rows(3))])
    found = parse_response(reply.infer_response, 3, cascade.manifest, "edge")
    assert found.exit.tolist() == [1, 1, 1]
    assert found.degraded == ["link_down"] * 3
    assert answering.tier.counters.degraded == {"link_down": 3}


def test_without_the_next_tier_and_any_exit_it_says_so(cascade: Cascade) -> None:
    plan = plan_of(cascade, ("cloud",) * 3, GATES)
    with serving(cascade, "edge", plan) as (address, _):
        (reply,) = stream(address, [request_for(cascade, plan, tiny_rows(3))])
    assert reply.error_message.startswith("UNAVAILABLE: tier 'edge' has no upstream")


def test_long_computing_leaves_the_loop_free(cascade: Cascade) -> None:
    plan = plan_of(cascade, ("cloud",) * 3, GATES)
    with serving(cascade, "cloud", plan) as (address, answering):
        for index in range(3):
            answering.tier.segment(answering.tier.route(), index).row_s = 10.0  # believed to be slow: a thread does it
        replies = stream(address, [request_for(cascade, plan, tiny_rows(1), str(n)) for n in range(20)])
    assert sorted(reply.infer_response.id for reply in replies) == sorted(map(str, range(20)))
    assert not any(reply.error_message for reply in replies)


def test_infinite_values_are_refused(cascade: Cascade) -> None:
    with serving(cascade, "cloud", plan_of(cascade, ("cloud",) * 3, GATES)) as (address, _):
        (reply,) = stream(address, [request_for(cascade, None, np.full((1, 4), np.inf, np.float32))])
    assert "NaN or infinity" in reply.error_message
