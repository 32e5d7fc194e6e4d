"""The client of a next tier that is a plain model server: Triton, MLServer, OpenVINO Model Server, KServe."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import grpc
import grpc.aio

from offramp.errors import LinkError, OfframpError, Overloaded, PayloadTooLarge, PeerRefused
from offramp.runtime.channel import client_options
from offramp.runtime.plain import PlainRequest, read_answer, split, translate
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.status import error_from
from offramp.runtime.tier import Tier
from offramp.runtime.upstream import BACKOFF_S, MAX_IN_FLIGHT, Upstream, Waiter

__all__ = ["PlainUpstream"]

_log = logging.getLogger(__name__)

_SERVICE = "/inference.GRPCInferenceService"
#: such servers take frequent pings for an attack and hang up
_NO_PINGS = ("grpc.keepalive", "grpc.http2.max_pings", "grpc.http2.ping")


class PlainUpstream(Upstream):
    """Asks a model server for the tail behind the cut with ``ModelInfer``, one call for each request.

    The plan's gates end at this link: such a server has no exits, the last one answers. It must have the models that
    'offramp export' writes, called ``CASCADE-from-CUT``.

    Parameters
    ----------
    address : ``HOST:PORT`` of its gRPC
    tier : who asks; its plans and cascade say what the answers mean
    options : as those of `Upstream`
    """

    def __init__(self, address: str, tier: Tier, **options: Any) -> None:
        super().__init__(address, tier.counters, **options)
        self._tier = tier
        self._asking: dict[str, asyncio.Task[None]] = {}

    def submit(self, request_id: str, data: bytes, waiter: Waiter) -> None:
        """Translate a serialised request and send it; ``waiter`` gets a ``ModelInferResponse`` or a `LinkError`."""
        error: LinkError | None = None
        if self._call is None:
            error = self.down()
        elif len(data) > self._max_bytes:
            error = PayloadTooLarge(
                f"{self.address}: the request has {len(data)} bytes, at most {self._max_bytes} may be sent"
            )
        elif len(self._waiting) >= MAX_IN_FLIGHT:
            error = Overloaded(f"{self.address}: {MAX_IN_FLIGHT} requests are in flight; ask for fewer at a time")
        if error is not None:
            waiter.set_exception(error)
            return
        try:
            asked = translate(data, self._tier)
        except OfframpError as cause:
            waiter.set_exception(cause if isinstance(cause, LinkError) else PeerRefused(f"{self.address}: {cause}"))
            return
        asked.message.id = request_id
        self._waiting[request_id] = waiter
        self._asking[request_id] = asyncio.get_running_loop().create_task(self._ask(request_id, asked, self._call))

    def forget(self, request_id: str) -> None:
        """Nobody waits for this answer any more: the call is cancelled."""
        super().forget(request_id)
        if (task := self._asking.pop(request_id, None)) is not None:
            task.cancel()

    async def _ask(self, request_id: str, asked: PlainRequest, call: Any) -> None:
        metadata = (*self._access.metadata, *((("traceparent", asked.traceparent),) if asked.traceparent else ()))
        outcome: pb.ModelInferResponse | LinkError
        try:
            parts = split(asked)
            calls = [call(part.message, timeout=asked.deadline_s, metadata=metadata) for part in parts]
            replies = [await calls[0]] if len(calls) == 1 else await asyncio.gather(*calls)
            outcome = read_answer(replies, parts, self._tier, self.address)
        except grpc.aio.AioRpcError as error:
            outcome = self._refused(error, asked.message.model_name)
        except LinkError as error:
            outcome = error
        except Exception as error:
            _log.exception("%s: its answer cannot be read", self.address)
            outcome = PeerRefused(f"{self.address}: its answer cannot be read ({type(error).__name__})")
        finally:
            self._asking.pop(request_id, None)
        waiter = self._waiting.pop(request_id, None)
        if waiter is None or waiter.done():
            self._counters.late_answers += 1
        elif isinstance(outcome, LinkError):
            waiter.set_exception(outcome)
        else:
            waiter.set_result(outcome)

    def _refused(self, error: grpc.aio.AioRpcError, model: str) -> LinkError:
        code, details = error.code().name, (error.details() or "no reason given").splitlines()[0][:200]
        if code == "NOT_FOUND" or "unknown model" in details:  # Triton calls that unavailable
            return PeerRefused(
                f"{self.address}: no model {model!r} there ({details}); write it with 'offramp export' and load it"
            )
        return error_from(f"{code}: {details}", self.address)

    async def _hold_stream(self) -> None:
        """One channel; it counts as connected while the server says that it is ready."""
        pause_s = BACKOFF_S[0]
        options = [option for option in client_options(self._max_bytes) if not option[0].startswith(_NO_PINGS)]
        async with self._access.open_channel(self.address, options) as channel:
            ready: Any = channel.unary_unary(
                f"{_SERVICE}/ServerReady", pb.ServerReadyRequest.SerializeToString, pb.ServerReadyResponse.FromString
            )
            infer: Any = channel.unary_unary(
                f"{_SERVICE}/ModelInfer", pb.ModelInferRequest.SerializeToString, pb.ModelInferResponse.FromString
            )
            while not self._closed:
                if not await self._ready(channel):
                    return
                why = await self._why_not_ready(ready)
                if why is None:
                    pause_s = BACKOFF_S[0]
                    self._call = infer
                    self._up.set()
                    self._counters.connections += 1
                    await channel.wait_for_state_change(grpc.ChannelConnectivity.READY)
                    why = "the server has gone"
                self._drop(why)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, BACKOFF_S[1])

    async def _why_not_ready(self, ready: Any) -> str | None:
        try:
            reply = await ready(pb.ServerReadyRequest(), timeout=BACKOFF_S[1], metadata=self._access.metadata)
        except grpc.aio.AioRpcError as error:
            return error.details() or str(error.code().name)
        return None if reply.ready else "the server is not ready yet"

    async def close(self) -> None:
        """End; requests in flight fail with `LinkDown`."""
        await super().close()
        for task in list(self._asking.values()):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
