"""A peer that may answer a request never, later, twice, or with something else."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc
import grpc.aio
import numpy as np

from offramp.runtime.answering import Answering
from offramp.runtime.loop import run_in_background
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb

Send = Callable[[pb.ModelStreamInferResponse], Awaitable[None]]
Handler = Callable[[pb.ModelInferRequest, Send], Awaitable[None]]


@contextlib.contextmanager
def streaming_peer(handler: Handler) -> Iterator[str]:
    """A server whose handler gets each request as it comes, all at once, and sends what it likes; its address."""

    async def stream(requests: AsyncIterator[pb.ModelInferRequest], context: Any) -> None:
        turn = asyncio.Lock()
        tasks: set[asyncio.Task[None]] = set()
        broken = asyncio.Event()

        async def send(reply: pb.ModelStreamInferResponse) -> None:
            async with turn:
                with contextlib.suppress(Exception):  # the client may have gone
                    await context.write(reply)

        async def handle(request: pb.ModelInferRequest) -> None:
            try:
                await handler(request, send)
            except ConnectionError:
                broken.set()

        async def take() -> None:
            async for request in requests:
                tasks.add(asyncio.create_task(handle(request)))
            await asyncio.gather(*tasks)

        taking, breaking = asyncio.create_task(take()), asyncio.create_task(broken.wait())
        try:
            await asyncio.wait([taking, breaking], return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (taking, breaking, *tasks):
                task.cancel()
        if broken.is_set():
            raise ConnectionError("the test breaks the stream")

    async def start() -> tuple[Any, int]:
        server = grpc.aio.server()
        method = grpc.stream_stream_rpc_method_handler(
            stream, pb.ModelInferRequest.FromString, pb.ModelStreamInferResponse.SerializeToString
        )
        handlers = grpc.method_handlers_generic_handler("inference.GRPCInferenceService", {"ModelStreamInfer": method})
        server.add_generic_rpc_handlers((handlers,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = run_in_background(start())
    try:
        yield f"127.0.0.1:{port}"
    finally:
        run_in_background(server.stop(None))


class Faulty:
    """A real tier behind every fault there is, drawn for each request.

    Answers come late and out of order, twice, under ids nobody asked with, under the id of a request
    answered long ago, with an error, or not at all; now and then the stream breaks.
    """

    def __init__(self, answering: Answering, seed: int, faults: bool = True) -> None:
        self.answering = answering
        self.faults = faults
        self._random = np.random.default_rng(seed)
        self._old: list[pb.ModelStreamInferResponse] = []

    async def __call__(self, request: pb.ModelInferRequest, send: Send) -> None:
        """Handle one request."""
        kind = self._random.choice(["well"] * 5 + ["twice", "never", "error", "other", "old", "break"])
        reply = pb.ModelStreamInferResponse(infer_response=await self.answering.answer(request))
        if not self.faults:
            await send(reply)
            return
        await asyncio.sleep(self._random.exponential(0.005))
        if kind == "break" and self._random.random() < 0.3:
            raise ConnectionError
        if kind == "error":
            failed = pb.ModelStreamInferResponse(error_message="UNAVAILABLE: by chance")
            failed.infer_response.id = reply.infer_response.id
            await send(failed)
        elif kind == "other":
            wrong = pb.ModelStreamInferResponse(infer_response=reply.infer_response)
            wrong.infer_response.id = f"nobody-{reply.infer_response.id}"
            await send(wrong)
        elif kind == "old" and self._old:
            await send(self._old[self._random.integers(len(self._old))])
        if kind in ("well", "twice", "old", "other"):
            await send(reply)
            self._old.append(reply)
        if kind == "twice":
            await send(reply)
