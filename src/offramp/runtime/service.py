"""The Open Inference Protocol service of one tier."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from offramp.errors import LinkDown, OfframpError, SampleError
from offramp.runtime.answering import Answering
from offramp.runtime.controlling import Controlling
from offramp.runtime.description import Description
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.status import failure, status_of
from offramp.runtime.stream import Stream
from offramp.runtime.templates import Arrival, KnownRequests

__all__ = ["Service", "handlers"]

#: share of a call's time, and least seconds, kept for bringing the answer back
KEEP_SHARE, KEEP_S = 0.05, 0.002

_UNARY = (
    "ServerLive",
    "ServerReady",
    "ModelReady",
    "ServerMetadata",
    "ModelMetadata",
    "ModelInfer",
    "RepositoryIndex",
    "RepositoryModelLoad",
    "RepositoryModelUnload",
)

_log = logging.getLogger(__name__)


class Service:
    """The calls of ``GRPCInferenceService``; `Answering` does the work."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._description = Description(answering)
        self._controlling = Controlling(answering)
        self._streams: set[Stream] = set()
        #: requests of the data plane that need not be checked again
        self.known = KnownRequests()

    @property
    def busy(self) -> bool:
        """Whether a response is still to be computed or written."""
        return self._answering.busy or any(stream.owed for stream in self._streams)

    async def end_streams(self) -> None:
        """End every open stream with a reason, so that clients need not find out by themselves."""
        error = LinkDown(f"tier {self._answering.tier.name!r} is shutting down")
        for stream in list(self._streams):
            with contextlib.suppress(Exception):  # abort raises what only its own handler should see
                await _abort(stream.context, error)

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Any) -> bytes:
        """One request, one serialised response; the call's own deadline is the budget where the request names none."""
        _add_deadline(request, context.time_remaining())
        try:
            return await self._answering.complete(self._answering.start(Arrival(request)))
        except OfframpError as error:
            raise await _abort(context, error) from error
        except Exception as error:
            _log.error("a request failed", exc_info=error)
            raise await _abort(context, OfframpError(failure(error))) from error

    async def ModelStreamInfer(self, requests: AsyncIterator[Any], context: Any) -> None:
        """The data plane: responses come as they are ready; an error ends its request, not the stream."""
        stream = Stream(self._answering, self._controlling, self.known, context, _abort)
        self._streams.add(stream)
        try:
            await stream.serve(requests)
        finally:
            self._streams.discard(stream)

    async def ServerLive(self, request: pb.ServerLiveRequest, context: Any) -> pb.ServerLiveResponse:
        """The process is there."""
        return pb.ServerLiveResponse(live=True)

    async def ServerReady(self, request: pb.ServerReadyRequest, context: Any) -> pb.ServerReadyResponse:
        """It takes requests."""
        return pb.ServerReadyResponse(ready=self._description.ready)

    async def ModelReady(self, request: pb.ModelReadyRequest, context: Any) -> pb.ModelReadyResponse:
        """It takes requests for this model and version."""
        return pb.ModelReadyResponse(ready=self._description.model_ready(request.name, request.version))

    async def ServerMetadata(self, request: pb.ServerMetadataRequest, context: Any) -> pb.ServerMetadataResponse:
        """Name, version and extensions."""
        return self._description.server()

    async def ModelMetadata(self, request: pb.ModelMetadataRequest, context: Any) -> pb.ModelMetadataResponse:
        """Inputs at cut 0 and the outputs."""
        try:
            return self._description.model(request.name, request.version)
        except OfframpError as error:
            raise await _abort(context, error) from error

    async def RepositoryIndex(self, request: pb.RepositoryIndexRequest, context: Any) -> pb.RepositoryIndexResponse:
        """The one model."""
        try:
            return self._description.index(request.repository_name, request.ready)
        except OfframpError as error:
            raise await _abort(context, error) from error

    async def RepositoryModelLoad(self, request: pb.RepositoryModelLoadRequest, context: Any) -> None:
        """Refused: a tier serves the cascade it was started with."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, str(self._description.refuse("load")))

    async def RepositoryModelUnload(self, request: pb.RepositoryModelUnloadRequest, context: Any) -> None:
        """Refused: a tier serves the cascade it was started with."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, str(self._description.refuse("unload")))


def _add_deadline(request: pb.ModelInferRequest, left_s: float | None) -> None:
    """Let the tier answer from an earlier exit rather than too late for a client that only set a timeout."""
    if left_s is not None and "deadline_ms" not in request.parameters:
        kept_s = max(KEEP_S, KEEP_SHARE * left_s)
        request.parameters["deadline_ms"].double_param = max(0.0, left_s - kept_s) * 1e3


async def _abort(context: Any, error: OfframpError) -> Exception:
    """End the call with the error's status; what it returns is never reached."""
    await context.abort(status_of(error), str(error))
    return error


class _Unreadable:
    """Stands for bytes that are no message of the kind expected."""

    def __init__(self, data: bytes, kind: type[Any]) -> None:
        self.error = SampleError(f"these {len(data)} bytes are no {kind.__name__}; send Open Inference Protocol v2")


def _reader(kind: type[Any], parse: Callable[[bytes], Any] | None = None) -> Callable[[bytes], Any]:
    parse = parse or kind.FromString

    def read(data: bytes) -> Any:
        try:
            return parse(data)
        except DecodeError:  # gRPC would log a traceback for each
            return _Unreadable(data, kind)

    return read


def _readable(method: Callable[[Any, Any], Awaitable[Any]]) -> Callable[[Any, Any], Awaitable[Any]]:
    """The call, refused where its message could not be read."""

    async def call(request: Any, context: Any) -> Any:
        if isinstance(request, _Unreadable):
            raise await _abort(context, request.error)
        return await method(request, context)

    return call


def handlers(service: Service) -> Any:
    """What a gRPC server needs to route calls to the service."""
    unary = {
        name: grpc.unary_unary_rpc_method_handler(
            _readable(getattr(service, name)), _reader(getattr(pb, f"{name}Request")), _serialised
        )
        for name in _UNARY
    }
    read = _reader(pb.ModelInferRequest, service.known.read)
    stream = grpc.stream_stream_rpc_method_handler(service.ModelStreamInfer, read)
    methods = {**unary, "ModelStreamInfer": stream}
    return grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods)


def _serialised(message: Any) -> bytes:
    return message if isinstance(message, bytes) else bytes(message.SerializeToString())
