"""gRPC's own health service, for probes of orchestrators and for clients that balance between servers."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from google.protobuf.wrappers_pb2 import StringValue, UInt32Value

from offramp.runtime.answering import Answering

__all__ = ["CHECK", "WATCH", "Health", "health_handlers"]

#: the calls, as interceptors see them
CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
#: the states of grpc.health.v1
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3


class Health:
    """``Check`` and ``Watch`` of ``grpc.health.v1.Health``.

    The service asked for may be empty (the server), the inference service, or the cascade. Its messages hold one
    field each, so those of the wrapper types read and write them.

    Parameters
    ----------
    answering : whether it drains decides

    Source: the GRPC Health Checking Protocol.
    """

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self._services = ("", "inference.GRPCInferenceService", answering.tier.manifest.name)
        self._over = asyncio.Event()

    def end(self) -> None:
        """Tell those who watch that the server drains."""
        self._over.set()

    async def check(self, request: StringValue | None, context: Any) -> UInt32Value:
        """The state of a service now."""
        if request is None or request.value not in self._services:
            name = "" if request is None else request.value[:80]
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no service {name!r} here; leave it out to ask the server")
        return UInt32Value(value=self._state)

    async def watch(self, request: StringValue | None, context: Any) -> None:
        """The state of a service now, and again when it changes."""
        if request is None or request.value not in self._services:
            await context.write(UInt32Value(value=SERVICE_UNKNOWN))
        else:
            await context.write(UInt32Value(value=self._state))
        await self._over.wait()
        if request is not None and request.value in self._services:
            await context.write(UInt32Value(value=NOT_SERVING))

    @property
    def _state(self) -> int:
        return NOT_SERVING if self._answering.draining else SERVING


def health_handlers(health: Health) -> Any:
    """What a gRPC server needs to route calls to it."""
    methods = {
        "Check": grpc.unary_unary_rpc_method_handler(health.check, _read, _written),
        "Watch": grpc.unary_stream_rpc_method_handler(health.watch, _read, _written),
    }
    return grpc.method_handlers_generic_handler("grpc.health.v1.Health", methods)


def _read(data: bytes) -> StringValue | None:
    try:
        return StringValue.FromString(data)
    except DecodeError:  # gRPC would log a traceback for each
        return None


def _written(message: UInt32Value) -> bytes:
    return message.SerializeToString()
