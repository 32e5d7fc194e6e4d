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
from offramp.runtime.replies import stream_reply
from offramp.runtime.status import stream_error
from offramp.runtime.templates import Arrival, KnownRequests

__all__ = ["Stream"]

#: requests of one stream that are worked on or wait to be written at a time; beyond that its messages are not read
MAX_IN_FLIGHT = 256
#: requests that count as being in company after one that was
CROWD = 32
#: seconds within which no client has an answer and has sent another request
MOMENT_S = 5e-5

_log = logging.getLogger(__name__)

Reply = pb.ModelStreamInferResponse


class Stream:
    """Reads the next request while others are computed; an error ends its request, not the stream.

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
        self._ready: deque[bytes] = deque()
        self._queued: set[asyncio.Future[Any]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._announcing: set[asyncio.Task[None]] = set()
        self._writing = self._over = False
        self._nothing_ready: asyncio.Future[None] | None = None
        self._changed = asyncio.Event()
        self._clock = answering.tier.clock
        self._written_s = 0.0
        self._taken = self._crowd = 0

    @property
    def owed(self) -> int:
        """Responses still to be computed or written."""
        return len(self._queued) + len(self._tasks) + len(self._ready) + self._taken + self._writing

    async def serve(self, requests: AsyncIterator[Any]) -> None:
        """Answer until the client sends no more and has everything."""
        writer = asyncio.create_task(self._write())
        loop = asyncio.get_running_loop()
        try:
            async for arrival in requests:
                if not isinstance(arrival, Arrival):
                    raise await self._refuse(self.context, arrival.error)
                self._note_company()
                if arrival.header is None and is_control(arrival.message):
                    self._begin_control(arrival.message)
                    continue
                if self._announcing and not self._knows(arrival):
                    await asyncio.wait(self._announcing)  # its plan may be among those just announced
                self._taken += 1
                loop.call_soon(self._take, arrival)  # the next one is asked for before this one is computed
                await self._until_less_than(MAX_IN_FLIGHT)
            await self._until_less_than(1)
        finally:
            self._over = True
            for work in (*self._tasks, *self._queued, writer):
                work.cancel()

    def _note_company(self) -> None:
        """Who asks before the others were answered is in company, and so will be the next ones.

        Who asks a moment after the last answer was written was there before: so soon nobody has read it.
        """
        others = self.owed - self._writing
        if others or (self._writing and self._clock.now() - self._written_s < MOMENT_S):
            self._crowd = CROWD
        elif self._crowd:
            self._crowd -= 1

    def _take(self, arrival: Arrival) -> None:
        """Begin with one request; what is short is done at once."""
        self._taken -= 1
        if self._over:
            return
        try:
            job = self._answering.start(arrival, company=self._crowd > 0)
        except Exception as error:
            self._put(_failed(arrival.message.id, error))
            return
        if job.response is not None:
            self._put(stream_reply(job.response))
        elif job.work is not None and job.route.next_tier is None:
            waiting = self._answering.when_computed(job, partial(self._computed, job))
            self._queued.add(waiting)
            waiting.add_done_callback(self._dequeued)
        else:
            self._begin(self._complete(job))
        if (
            arrival.header is None and job.header.cut < job.route.stop
        ):  # one that is passed on goes as it came: all is needed
            self._known.learn(arrival, job.header)

    def _computed(self, job: Job, outcome: bytes | Exception) -> None:
        """A response without a task of its own."""
        self._put(_failed(job.request_id, outcome) if isinstance(outcome, Exception) else stream_reply(outcome))

    def _put(self, reply: bytes) -> None:
        """Have it written when its turn comes."""
        if self._over:
            return
        self._ready.append(reply)
        if self._nothing_ready is not None and not self._nothing_ready.done():
            self._nothing_ready.set_result(None)

    def _dequeued(self, waiting: asyncio.Future[Any]) -> None:
        self._queued.discard(waiting)
        self._changed.set()

    async def _write(self) -> None:
        """One response after the other: a gRPC stream takes one write at a time."""
        try:
            while True:
                if not self._ready:
                    self._nothing_ready = asyncio.get_running_loop().create_future()
                    await self._nothing_ready
                self._writing, self._written_s = True, self._clock.now()
                try:
                    await self.context.write(self._ready.popleft())
                except Exception as error:  # grpc.aio has no one class for a client that has gone
                    _log.debug("cannot write a response, the client has gone: %s", error)
                self._writing = False
                self._changed.set()
        finally:
            self._over = True
            self._writing = False
            self._ready.clear()
            self._changed.set()

    def _begin_control(self, request: pb.ModelInferRequest) -> None:
        task = self._begin(self._control(request))
        self._announcing.add(task)
        task.add_done_callback(self._announcing.discard)

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
            reply = stream_reply(await self._answering.complete(job))
        except Exception as error:
            reply = _failed(job.request_id, error)
        self._put(reply)

    async def _control(self, request: pb.ModelInferRequest) -> None:
        try:
            reply = stream_reply((await self._controlling.answer(request)).SerializeToString())
        except Exception as error:
            reply = _failed(request.id, error)
        self._put(reply)

    def _knows(self, arrival: Arrival) -> bool:
        if arrival.header is not None:
            return self._answering.tier.knows(arrival.header.plan_id or "")
        plan = arrival.message.parameters.get("plan")
        return plan is None or self._answering.tier.knows(plan.string_param)


def _failed(request_id: str, error: Exception) -> bytes:
    """The stream's way to say that one request failed."""
    if not isinstance(error, OfframpError):
        _log.error("a request failed", exc_info=error)
    reply = Reply(error_message=stream_error(error))
    reply.infer_response.id = request_id
    return reply.SerializeToString()
