"""One trace from the device to the cloud."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from offramp.cascade.store import open_cascade
from offramp.runtime import tracing
from offramp.runtime.answering import Answering
from offramp.runtime.device import Device
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.tier import Tier
from offramp.runtime.tracing import TRACEPARENT, RequestSpan
from tests.runtime.support import fake_peer, plan_of
from tests.support.tiny import tiny_rows


@pytest.fixture
def spans(monkeypatch: pytest.MonkeyPatch) -> Iterator[InMemorySpanExporter]:
    """What is exported while a tracer provider is set up."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", lambda: provider.get_tracer("offramp"))
    yield exporter
    provider.shutdown()


def named(exporter: InMemorySpanExporter, name: str) -> ReadableSpan:
    return next(span for span in exporter.get_finished_spans() if span.name == name)


def test_an_offload_is_one_trace(tiny_cascade: Path, spans: InMemorySpanExporter) -> None:
    cascade = open_cascade(tiny_cascade)
    plan = plan_of(cascade, ("device", "edge"), (None,))
    answering = Answering(Tier(cascade, "edge", [plan]))

    async def reply(request: pb.ModelInferRequest) -> pb.ModelStreamInferResponse:
        return pb.ModelStreamInferResponse(infer_response=await answering.answer(request))

    with fake_peer(reply) as address, Device(cascade, plan, address) as device:
        assert device.infer(tiny_rows(1)[0]).tier == "edge"
    answering.close()
    device_span, edge_span = named(spans, "offramp.offload"), named(spans, "offramp.tier")
    assert edge_span.parent is not None
    assert device_span.context is not None
    assert edge_span.parent.span_id == device_span.context.span_id
    assert edge_span.attributes is not None
    assert dict(edge_span.attributes) == {"tier": "edge", "segment": 1, "rows": 1}


def test_a_failure_is_marked(spans: InMemorySpanExporter) -> None:
    span = RequestSpan("offramp.offload", tier="device")
    span.end(ValueError("no link"), rows=2)
    status = named(spans, "offramp.offload").status
    assert (status.status_code, status.description) == (StatusCode.ERROR, "no link")


@pytest.mark.parametrize("text", ["", "nonsense", "00-0-0-00"])
def test_a_malformed_parent_starts_a_new_trace(text: str, spans: InMemorySpanExporter) -> None:
    request = pb.ModelInferRequest()
    request.parameters[TRACEPARENT].string_param = text
    RequestSpan("offramp.tier", request).end()
    assert named(spans, "offramp.tier").parent is None


def test_nothing_is_sent_without_a_provider() -> None:
    assert not trace.get_current_span().is_recording()
    request = pb.ModelInferRequest()
    span = RequestSpan("offramp.offload")
    span.carry(request)
    span.end()
    assert TRACEPARENT not in request.parameters


def test_nothing_happens_without_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "_tracer", lambda: None)
    request = pb.ModelInferRequest()
    span = RequestSpan("offramp.offload", request)
    span.carry(request)
    span.end(ValueError("ignored"))
    assert not request.parameters
