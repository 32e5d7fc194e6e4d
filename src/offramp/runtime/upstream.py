"""The client of the next tier: one persistent stream, kept alive in the background."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import grpc
import grpc.aio

from offramp.errors import DeadlineExceeded, LinkDown, Overloaded, PayloadTooLarge
from offramp.runtime.access import OPEN, Access
from offramp.runtime.channel import MAX_MESSAGE_BYTES, STREAM_METHOD, client_options
from offramp.runtime.counters import Counters
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.status import error_from

__all__ = ["Upstream", "Waiter"]

_log = logging.getLogger(__name__)

_EOF: Any = grpc.aio.EOF  # type: ignore[attr-defined]  # missing in grpc-stubs

#: seconds before a broken stream is opened again: first, and at most
BACKOFF_S = (0.05, 1.0)
#: requests in flight on one stream, and messages that wait to be written; beyond that none is taken
MAX_IN_FLIGHT = 1024
#: seconds without a secured connection before its reason is looked for: first, and then
EXPLAIN_AFTER_S, EXPLAIN_AGAIN_S = 1.0, 10.0


class Waiter(Protocol):
    """Where an answer goes: an asyncio or a concurrent future."""

    def done(self) -> bool: ...
    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: Any, /) -> None: ...


class Upstream:
    """Several requests in flight over one ``ModelStreamInfer``, matched by id.

    While there is no stream, `LinkDown` comes at once. All methods but `new_id`, `first_time` and
    `connected` belong to the event loop it was started on.

    Parameters
    ----------
    address : ``HOST:PORT`` of the next tier
    counters : where answers that come too late are counted
    max_message_bytes : the largest message sent or taken
    access : what it needs to be let in
    """

    def __init__(
        self, address: str, counters: Counters, *, max_message_bytes: int = MAX_MESSAGE_BYTES, access: Access = OPEN
    ) -> None:
        self.address = address
        self._access = access
        self._counters = counters
        self._max_bytes = max_message_bytes
        self._ids = itertools.count(1)
        self._waiting: dict[str, Waiter] = {}
        self._outbox: deque[tuple[str, bytes]] = deque()
        self._has_mail = asyncio.Event()
        self._up = asyncio.Event()
        self._call: Any = None
        self._why = "not connected yet"
        self._told: str | None = None
        self._closed = False
        #: what is sent first on every new stream: ids and serialised requests nobody waits for
        self.greeting: Callable[[], Iterable[tuple[str, bytes]]] = tuple
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to connect, and keep connected until `close`."""
        self._task = asyncio.get_running_loop().create_task(self._keep_connected())

    async def close(self) -> None:
        """Close the stream; requests in flight fail with `LinkDown`."""
        self._closed = True
        if self._task is not None:
            await _stop(self._task)
        self._drop("closed")

    @property
    def connected(self) -> bool:
        """Whether there is a stream right now."""
        return self._call is not None

    async def wait_connected(self, timeout_s: float) -> bool:
        """Wait for a stream; False when there is none in time."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._up.wait()
        except TimeoutError:
            return False
        return True

    def new_id(self) -> str:
        """An id for the next request; any thread may ask."""
        return str(next(self._ids))

    def submit(self, request_id: str, data: bytes, waiter: Waiter) -> None:
        """Send a serialised request; ``waiter`` gets a ``ModelInferResponse`` or a `LinkError`."""
        if self._call is None:
            waiter.set_exception(self.down())
        elif len(data) > self._max_bytes:
            waiter.set_exception(
                PayloadTooLarge(
                    f"{self.address}: the request has {len(data)} bytes, at most {self._max_bytes} may be sent"
                )
            )
        elif not self._has_room():
            waiter.set_exception(
                Overloaded(f"{self.address}: {MAX_IN_FLIGHT} requests are in flight already; ask for fewer at a time")
            )
        else:
            self._waiting[request_id] = waiter
            self._outbox.append((request_id, data))
            self._has_mail.set()

    def _has_room(self) -> bool:
        """Whether one more may be in flight; a peer that does not read holds no messages nobody waits for."""
        if len(self._outbox) >= MAX_IN_FLIGHT:
            self._outbox = deque(mail for mail in self._outbox if mail[0] in self._waiting)
        return len(self._waiting) < MAX_IN_FLIGHT

    def forget(self, request_id: str) -> None:
        """Nobody waits for this answer any more: if it comes, it is dropped."""
        self._waiting.pop(request_id, None)

    def first_time(self, error: Exception) -> bool:
        """Whether this is another kind of error than the last one told, so that logs do not repeat it for each row."""
        kind = type(error).__name__
        told, self._told = self._told, kind
        return told != kind

    def down(self) -> LinkDown:
        """The error that says why there is no stream."""
        return LinkDown(f"{self.address}: no connection to the next tier ({self._why})")

    async def send(self, message: pb.ModelInferRequest, timeout_s: float | None) -> pb.ModelInferResponse:
        """Send a request and wait for its answer. Gives the message an id.

        Raises
        ------
        LinkDown : there is no stream, or it broke
        DeadlineExceeded : no answer within ``timeout_s``
        PeerRefused, PayloadTooLarge : the peer cannot or will not answer
        """
        message.id = self.new_id()
        waiter: asyncio.Future[pb.ModelInferResponse] = asyncio.get_running_loop().create_future()
        self.submit(message.id, message.SerializeToString(), waiter)
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter
        except TimeoutError as error:
            raise DeadlineExceeded(f"{self.address}: no answer within the deadline") from error
        finally:
            self.forget(message.id)

    async def _keep_connected(self) -> None:
        while not self._closed:
            try:
                await self._hold_stream()
            except Exception as error:  # whatever gRPC stumbles over: a device that never connects again is worse
                _log.exception("%s: the connection failed and is made anew", self.address)
                self._drop(f"the connection failed ({type(error).__name__})")
                await asyncio.sleep(BACKOFF_S[1])

    async def _hold_stream(self) -> None:
        """One channel, and one stream after the other on it."""
        pause_s = BACKOFF_S[0]
        async with self._access.open_channel(self.address, client_options(self._max_bytes)) as channel:
            open_stream: Any = channel.stream_stream(STREAM_METHOD, None, pb.ModelStreamInferResponse.FromString)
            while not self._closed:
                if not await self._ready(channel):
                    return
                self._call = open_stream(metadata=self._access.metadata)
                for request_id, data in self.greeting():
                    self.submit(request_id, data, _Unheard())
                self._up.set()
                self._counters.connections += 1
                _log.info("connected", extra={"fields": {"peer": self.address}})
                writer = asyncio.create_task(self._write_all(self._call))
                try:
                    heard = await self._read_all(self._call)
                finally:
                    await _stop(writer)
                pause_s = BACKOFF_S[0] if heard else min(2 * pause_s, BACKOFF_S[1])
                await asyncio.sleep(pause_s)

    async def _ready(self, channel: grpc.aio.Channel) -> bool:
        """Wait for a connection; where it is secured and does not come, find out why.

        False when certificates were renewed meanwhile: those take a new channel.
        """
        patience_s = EXPLAIN_AFTER_S if self._access.tls else None
        while True:
            try:
                async with asyncio.timeout(patience_s):
                    await channel.channel_ready()
                return True
            except TimeoutError:
                why = await asyncio.to_thread(self._access.explain, self.address)
                if why is not None and why != self._why:
                    self._why = why
                    _log.warning("%s: no connection: %s", self.address, why)
                renewed = await asyncio.to_thread(self._access.renewed)
                if renewed != self._access:
                    self._access = renewed
                    return False
                patience_s = EXPLAIN_AGAIN_S

    async def _read_all(self, call: Any) -> bool:
        """Hand out answers until the stream ends; whether there was any."""
        heard = False
        try:
            while True:
                reply = await call.read()
                if reply is _EOF:
                    why = (await call.details()) or "the peer closed the stream"
                    break
                if reply is None:  # grpc.aio's way to say that it cannot be parsed
                    call.cancel()
                    why = "the peer sent something that is no answer"
                    break
                heard = True
                self._deliver(reply)
        except grpc.aio.AioRpcError as error:
            why = error.details() or error.code().name
        except asyncio.CancelledError:
            if self._closed:
                raise
            why = "the stream was cancelled"
        self._drop(why)
        return heard

    def _deliver(self, reply: pb.ModelStreamInferResponse) -> None:
        waiter = self._waiting.pop(reply.infer_response.id, None)
        if waiter is None or waiter.done():
            self._counters.late_answers += 1
        elif reply.error_message:
            waiter.set_exception(error_from(reply.error_message, self.address))
        else:
            waiter.set_result(reply.infer_response)

    async def _write_all(self, call: Any) -> None:
        """Send what is in the outbox, in order, but nothing that nobody waits for any more."""
        try:
            while True:
                while self._outbox:
                    request_id, data = self._outbox.popleft()
                    if request_id in self._waiting:
                        await call.write(data)
                self._has_mail.clear()
                await self._has_mail.wait()
        except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
            pass  # the reader tells why
        except Exception:
            _log.exception("%s: cannot write to the stream; it is made anew", self.address)
            call.cancel()

    def _drop(self, why: str) -> None:
        """There is no stream any more: everyone who waits hears it now."""
        if self._call is not None:
            _log.info("disconnected", extra={"fields": {"peer": self.address, "why": why}})
        self._call, self._why = None, why
        self._up.clear()
        self._outbox.clear()
        waiting, self._waiting = self._waiting, {}
        for waiter in waiting.values():
            if not waiter.done():
                waiter.set_exception(self.down())


class _Unheard:
    """Takes the answer to a greeting; whatever it says, nobody waits."""

    def done(self) -> bool:
        return False

    def set_result(self, result: object, /) -> None:
        """Nothing to do."""

    def set_exception(self, exception: object, /) -> None:
        """Nothing to do."""


async def _stop(task: asyncio.Task[None]) -> None:
    """Cancel a task and wait for its end, without taking its cancellation for our own or the reverse."""
    task.cancel()
    await asyncio.wait([task])
