"""One open stream of the data plane: requests as they come, responses as they are ready."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

from offramp.errors import OfframpError
from offramp.runtime.answering import Answering
from offramp.runtime.control import is_control
from offramp.runtime.controlling import Controlling
from offramp.runtime.job import Job
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.status import stream_error
from offramp.runtime.templates import Arrival, KnownRequests

__all__ = ["Stream"]

#: requests of one stream that are worked on or wait to be written at a time; beyond that its messages are not read
MAX_IN_FLIGHT = 256
#: requests that count as being in company after one that was
CROWD = 32

_log = logging.getLogger(__name__)

Reply = pb.ModelStreamInferResponse


class Stream:
    """Reads the next request while one is computed; an error ends its request, not the stream.

    Parameters
    ----------
    answering, controlling : do the work
    known : requests that need not be checked again
    context : of the gRPC call
    refuse : ends the call with an error, where it cannot be known whose request it was
    """

    def __init__(
        self,
        answering: Answering,
        controlling: Controlling,
        known: KnownRequests,
        context: Any,
        refuse: Callable[[Any, OfframpError], Awaitable[Exception]],
    ) -> None:
        self.context = context
        self._answering = answering
        self._controlling = controlling
        self._known = known
        self._refuse = refuse
        self._ready: deque[Reply] = deque()
        self._queued: set[asyncio.Future[Any]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._announcing: set[asyncio.Task[None]] = set()
        self._writer: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    @property
    def owed(self) -> int:
        """Responses still to be computed or written."""
        return len(self._queued) + len(self._tasks) + len(self._ready) + self._turn.locked()

    async def serve(self, requests: AsyncIterator[Any]) -> None:
        """Answer until the client sends no more and has everything."""
        reading = asyncio.ensure_future(_next(requests))
        crowd = 0
        try:
            while True:
                # it was there before the last one was answered: then so will be the next ones, though not seen in time
                crowd = CROWD if reading.done() else max(0, crowd - 1)
                arrival = await reading
                if arrival is None:
                    break
                if not isinstance(arrival, Arrival):
                    raise await self._refuse(self.context, arrival.error)
                reading = asyncio.ensure_future(_next(requests))
                await self._take(arrival, company=crowd > 0)
                await self._until_less_than(MAX_IN_FLIGHT)
            await self._until_less_than(1)
        finally:
            reading.cancel()
            for work in (*self._tasks, *self._queued, *([self._writer] if self._writer is not None else [])):
                work.cancel()

    async def _take(self, arrival: Arrival, *, company: bool) -> None:
        request, known = arrival.message, arrival.header
        request_id = request.id
        if known is None and is_control(request):
            task = self._begin(self._control(request))
            self._announcing.add(task)
            task.add_done_callback(self._announcing.discard)
            return
        if self._announcing and not self._knows(arrival):
            await asyncio.wait(self._announcing)  # its plan may be among those just announced
        try:
            job = self._answering.start(request, known, arrival.size, company=company)
        except Exception as error:
            await self._write(_failed(request_id, error))
            return
        if job.response is not None:
            await self._write(Reply(infer_response=job.response))
        elif job.work is not None and job.route.next_tier is None:
            waiting = self._answering.when_computed(job, partial(self._computed, job))
            self._queued.add(waiting)
            waiting.add_done_callback(self._dequeued)
        else:
            self._begin(self._complete(job))
        if known is None and job.header.cut < job.route.stop:  # one that is passed on goes as it came: all is needed
            self._known.learn(arrival, job.header)

    def _computed(self, job: Job, outcome: pb.ModelInferResponse | Exception) -> None:
        """A response without a task of its own."""
        if isinstance(outcome, Exception):
            self._ready.append(_failed(job.request_id, outcome))
        else:
            self._ready.append(Reply(infer_response=outcome))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_ready())

    def _dequeued(self, waiting: asyncio.Future[Any]) -> None:
        self._queued.discard(waiting)
        self._changed.set()

    async def _write_ready(self) -> None:
        try:
            while self._ready:
                await self._write(self._ready.popleft())
        finally:
            self._writer = None
            self._changed.set()

    async def _write(self, reply: Reply) -> None:
        """One response after the other: a gRPC stream takes one write at a time."""
        async with self._turn:
            try:
                await self.context.write(reply)
            except Exception as error:  # grpc.aio has no one class for a client that has gone
                _log.debug("cannot write a response, the client has gone: %s", error)

    def _begin(self, work: Any) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._changed.set()

    async def _until_less_than(self, count: int) -> None:
        while self.owed >= count:
            self._changed.clear()
            await self._changed.wait()

    async def _complete(self, job: Job) -> None:
        try:
            reply = Reply(infer_response=await self._answering.complete(job))
        except Exception as error:
            reply = _failed(job.request_id, error)
        await self._write(reply)

    async def _control(self, request: pb.ModelInferRequest) -> None:
        try:
            reply = Reply(infer_response=await self._controlling.answer(request))
        except Exception as error:
            reply = _failed(request.id, error)
        await self._write(reply)

    def _knows(self, arrival: Arrival) -> bool:
        if arrival.header is not None:
            return self._answering.tier.knows(arrival.header.plan_id or "")
        plan = arrival.message.parameters.get("plan")
        return plan is None or self._answering.tier.knows(plan.string_param)


async def _next(requests: AsyncIterator[Any]) -> Any:
    """The next message; ``None`` when there is none."""
    return await anext(requests, None)


def _failed(request_id: str, error: Exception) -> Reply:
    """The stream's way to say that one request failed."""
    if not isinstance(error, OfframpError):
        _log.error("a request failed", exc_info=error)
    reply = Reply(error_message=stream_error(error))
    reply.infer_response.id = request_id
    return reply
