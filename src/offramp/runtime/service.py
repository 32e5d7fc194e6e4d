"""The Open Inference Protocol service of one tier."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import DecodeError

from offramp.errors import LinkDown, OfframpError, SampleError
from offramp.runtime.answering import Answering
from offramp.runtime.control import is_control
from offramp.runtime.controlling import Controlling
from offramp.runtime.description import Description
from offramp.runtime.job import Job
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.status import failure, status_of, stream_error
from offramp.runtime.templates import Arrival, KnownRequests

__all__ = ["Service", "handlers"]

#: requests of one stream that are worked on at a time; beyond that its messages are not read
MAX_IN_FLIGHT = 256

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
        self._streams: set[Any] = set()
        self._tasks = 0
        #: requests of the data plane that need not be checked again
        self.known = KnownRequests()

    @property
    def busy(self) -> bool:
        """Whether a response is still to be computed or written."""
        return self._answering.busy or bool(self._tasks)

    async def end_streams(self) -> None:
        """End every open stream with a reason, so that clients need not find out by themselves."""
        error = LinkDown(f"tier {self._answering.tier.name!r} is shutting down")
        for context in list(self._streams):
            with contextlib.suppress(Exception):  # abort raises what only its own handler should see
                await _abort(context, error)

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Any) -> pb.ModelInferResponse:
        """One request, one response; the call's own deadline is the budget where the request names none."""
        _add_deadline(request, context.time_remaining())
        try:
            return await self._answering.answer(request)
        except OfframpError as error:
            raise await _abort(context, error) from error
        except Exception as error:
            _log.error("a request failed", exc_info=error)
            raise await _abort(context, OfframpError(failure(error))) from error

    async def ModelStreamInfer(self, requests: AsyncIterator[Arrival | _Unreadable], context: Any) -> None:
        """The data plane: responses come as they are ready; an error ends its request, not the stream."""
        working: set[asyncio.Task[None]] = set()
        controlling: set[asyncio.Task[None]] = set()
        turn = asyncio.Lock()
        self._streams.add(context)
        try:
            async for arrival in requests:
                if isinstance(arrival, _Unreadable):  # whose it was cannot be known, so all of the stream ends
                    raise await _abort(context, arrival.error)
                request, known = arrival.message, arrival.header
                request_id = request.id
                if known is None and is_control(request):
                    task = asyncio.create_task(self._control(request, context, turn))
                    controlling.add(task)
                    task.add_done_callback(controlling.discard)
                else:
                    if controlling and not self._knows(arrival):
                        await asyncio.wait(controlling)  # its plan may be among those just announced
                    try:
                        job = self._answering.start(request, known, arrival.size)
                    except Exception as error:
                        await _write(context, turn, _failed(request_id, error))
                        continue
                    if job.response is not None:
                        await _write(context, turn, pb.ModelStreamInferResponse(infer_response=job.response))
                        self._learn(arrival, job)
                        continue
                    task = asyncio.create_task(self._complete(job, context, turn))
                    self._learn(arrival, job)
                self._tasks += 1
                working.add(task)
                task.add_done_callback(working.discard)
                task.add_done_callback(self._ended)
                if len(working) >= MAX_IN_FLIGHT:
                    await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
            if working:
                await asyncio.wait(working)
        finally:
            self._streams.discard(context)
            for task in working:
                task.cancel()

    def _learn(self, arrival: Arrival, job: Job) -> None:
        """Requests computed here may come again; one that is passed on goes as it came, so all of it is needed."""
        if arrival.header is None and job.header.cut < job.route.stop:
            self.known.learn(arrival, job.header)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks -= 1

    async def _complete(self, job: Job, context: Any, turn: asyncio.Lock) -> None:
        try:
            reply = pb.ModelStreamInferResponse(infer_response=await self._answering.complete(job))
        except Exception as error:
            reply = _failed(job.request_id, error)
        await _write(context, turn, reply)

    def _knows(self, arrival: Arrival) -> bool:
        if arrival.header is not None:
            return self._answering.tier.knows(arrival.header.plan_id or "")
        plan = arrival.message.parameters.get("plan")
        return plan is None or self._answering.tier.knows(plan.string_param)

    async def _control(self, request: pb.ModelInferRequest, context: Any, turn: asyncio.Lock) -> None:
        try:
            reply = pb.ModelStreamInferResponse(infer_response=await self._controlling.answer(request))
        except Exception as error:
            reply = _failed(request.id, error)
        await _write(context, turn, reply)

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


def _failed(request_id: str, error: Exception) -> pb.ModelStreamInferResponse:
    """The stream's way to say that one request failed."""
    if not isinstance(error, OfframpError):
        _log.error("a request failed", exc_info=error)
    reply = pb.ModelStreamInferResponse(error_message=stream_error(error))
    reply.infer_response.id = request_id
    return reply


async def _write(context: Any, turn: asyncio.Lock, reply: pb.ModelStreamInferResponse) -> None:
    """One response after the other: a gRPC stream takes one write at a time."""
    async with turn:
        try:
            await context.write(reply)
        except Exception as error:  # grpc.aio has no one class for a client that has gone
            _log.debug("cannot write a response, the client has gone: %s", error)


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
    stream = grpc.stream_stream_rpc_method_handler(service.ModelStreamInfer, read, _serialised)
    methods = {**unary, "ModelStreamInfer": stream}
    return grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods)


def _serialised(message: Any) -> bytes:
    return bytes(message.SerializeToString())
