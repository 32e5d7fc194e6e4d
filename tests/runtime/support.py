"""Plans, clusters and peers for the runtime's tests."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc
import grpc.aio
import numpy as np
from numpy.typing import NDArray

from offramp.cascade.store import Cascade
from offramp.planning.plan import GateSpec, Plan
from offramp.runtime.loop import run_in_background
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb

TIERS = ("device", "edge", "cloud")

Reply = Callable[[pb.ModelInferRequest], Awaitable[pb.ModelStreamInferResponse | bytes | None]]


def plan_of(
    cascade: Cascade, placement: tuple[str, ...], thresholds: tuple[float | None, ...], codec: str = "raw"
) -> Plan:
    """A plan over device, edge and cloud."""
    return Plan(
        cascade=cascade.name,
        cascade_fingerprint=cascade.manifest.fingerprint,
        tiers=TIERS,
        placement=placement,
        gates=tuple(GateSpec(threshold=threshold) for threshold in thresholds),
        temperatures=(1.0,) * (len(thresholds) + 1),
        codec=codec,
    )


def local_chain(
    cascade: Cascade, rows: NDArray[Any], thresholds: tuple[float | None, ...]
) -> list[tuple[int, int, NDArray[np.float32]]]:
    """(label, exit, probabilities) of every row, one at a time through all segments: what any plan must give."""
    segments = cascade.load_segments()
    found = []
    for row in rows:
        tensors: tuple[Any, ...] = (row[None],)
        for index, segment in enumerate(segments):
            output = segment.run(tensors)
            assert output.confidence is not None
            assert output.label is not None
            assert output.probabilities is not None
            threshold = 0.0 if index == len(thresholds) else thresholds[index]
            if threshold is not None and output.confidence[0] >= np.float32(threshold):
                found.append((int(output.label[0]), index, output.probabilities[0]))
                break
            tensors = output.hand_over
    return found


@contextlib.contextmanager
def fake_peer(reply: Reply) -> Iterator[str]:
    """A gRPC server in this process whose stream answers as told (``None``: never); yields its address."""

    async def stream(requests: AsyncIterator[pb.ModelInferRequest], context: Any) -> None:
        async for request in requests:
            response = await reply(request)
            if response is not None:
                await context.write(response)

    async def start() -> tuple[Any, int]:
        server = grpc.aio.server()
        handler = grpc.stream_stream_rpc_method_handler(
            stream, pb.ModelInferRequest.FromString, lambda m: m if isinstance(m, bytes) else m.SerializeToString()
        )
        methods = {"ModelStreamInfer": handler}
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = run_in_background(start())
    try:
        yield f"127.0.0.1:{port}"
    finally:
        run_in_background(server.stop(None))


async def eventually(condition: Callable[[], bool], timeout_s: float = 5.0) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.005)
