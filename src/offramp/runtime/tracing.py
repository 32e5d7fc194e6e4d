"""OpenTelemetry spans across tiers, where OpenTelemetry is installed (extra ``otel``) and set up.

A request carries its ``traceparent`` (W3C Trace Context) as a parameter, so that the device's offload,
the edge and the cloud show up as one trace. Without OpenTelemetry nothing happens and nothing is sent.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from offramp.runtime.proto import grpc_predict_v2_pb2 as pb

__all__ = ["TRACEPARENT", "RequestSpan"]

#: the request parameter that carries the trace
TRACEPARENT = "traceparent"


@cache
def _trace() -> Any:
    try:
        from opentelemetry import trace
    except ImportError:
        return None
    return trace


def _tracer() -> Any:
    """Makes spans; ``None`` while nobody has set up where they go."""
    trace = _trace()
    if trace is None or isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        return None
    return trace.get_tracer("offramp")


def _bystander() -> Any:
    """Makes spans that record nothing, but hand a trace on that others have begun."""
    trace = _trace()
    return None if trace is None else trace.NoOpTracer()


class RequestSpan:
    """The span of one request on one tier.

    Examples
    --------
    >>> request = pb.ModelInferRequest()
    >>> span = RequestSpan("offramp.offload")  # records only where a tracer provider is set
    >>> span.carry(request)
    >>> span.end()
    """

    __slots__ = ("_span",)

    def __init__(self, name: str, message: pb.ModelInferRequest | None = None, **attributes: str | int) -> None:
        tracer = _tracer()
        if tracer is None and message is not None and TRACEPARENT in message.parameters:
            tracer = _bystander()
        self._span: Any = None
        if tracer is not None:
            self._span = tracer.start_span(name, context=_context_of(message), attributes=attributes)

    def carry(self, request: pb.ModelInferRequest) -> None:
        """Make ``request`` part of this trace."""
        if self._span is None or not self._span.get_span_context().is_valid:
            return
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier, trace.set_span_in_context(self._span))
        request.parameters[TRACEPARENT].string_param = carrier[TRACEPARENT]

    def end(self, error: Exception | None = None, **attributes: str | int) -> None:
        """Close the span; ``error`` is why there was no answer."""
        if self._span is None:
            return
        if error is not None:
            from opentelemetry.trace import Status, StatusCode

            self._span.set_status(Status(StatusCode.ERROR, str(error)))
        self._span.set_attributes(attributes)
        self._span.end()


def _context_of(message: pb.ModelInferRequest | None) -> Any:
    """The context a request came with, or ``None``; a malformed one is ignored, as the standard asks."""
    parameter = None if message is None else message.parameters.get(TRACEPARENT)
    if parameter is None or not parameter.string_param:
        return None
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({TRACEPARENT: parameter.string_param})
