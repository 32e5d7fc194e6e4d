"""A plain model server in this process: exported tails behind ModelInfer, and nothing of offramp."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio
import numpy as np
import onnxruntime as ort

from offramp.cascade.store import Cascade
from offramp.cascade.tail import tail_name, tails
from offramp.cascade.tail_onnx import tail_model
from offramp.runtime.loop import run_in_background
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb

#: changes an answer before it is sent
Spoil = Callable[[pb.ModelInferResponse], None]


@dataclass
class PlainServer:
    """What it has, whether it says that it is ready, what it was asked, and how its answers are spoiled."""

    sessions: dict[str, ort.InferenceSession]
    ready: bool = True
    typed: bool = False
    outputs: Sequence[str] = ("logits", "probabilities")
    asked: list[pb.ModelInferRequest] = field(default_factory=list)
    metadata: list[dict[str, str]] = field(default_factory=list)
    spoil: Spoil | None = None

    async def ServerReady(self, request: Any, context: Any) -> Any:
        return pb.ServerReadyResponse(ready=self.ready)

    async def ModelInfer(self, request: pb.ModelInferRequest, context: Any) -> Any:
        self.asked.append(request)
        self.metadata.append({key: str(value) for key, value in context.invocation_metadata() or ()})
        session = self.sessions.get(request.model_name)
        if session is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"unknown model {request.model_name}")
            raise AssertionError
        feed = {
            tensor.name: np.frombuffer(content, "<f4").reshape(tuple(tensor.shape))
            for tensor, content in zip(request.inputs, request.raw_input_contents, strict=True)
        }
        reply = pb.ModelInferResponse(model_name=request.model_name, id=request.id)
        for name, value in zip(self.outputs, session.run(list(self.outputs), feed), strict=True):
            output = reply.outputs.add(name=name, datatype="FP32", shape=value.shape)
            if self.typed:
                output.contents.fp32_contents.extend(value.ravel())
            else:
                reply.raw_output_contents.append(value.tobytes())
        if self.spoil is not None:
            self.spoil(reply)
        return reply


@contextmanager
def plain_server(cascade: Cascade, cuts: Sequence[int] | None = None) -> Iterator[tuple[str, PlainServer]]:
    """Serves the tails from ``cuts`` (all); yields its address as an upstream is written, and the server."""
    chosen = tails(cascade.manifest) if cuts is None else cuts
    served = PlainServer(
        {
            tail_name(cascade.name, cut): ort.InferenceSession(
                tail_model(cascade, cut), providers=["CPUExecutionProvider"]
            )
            for cut in chosen
        }
    )

    async def start() -> tuple[Any, int]:
        server = grpc.aio.server()
        methods = {
            name: grpc.unary_unary_rpc_method_handler(
                getattr(served, name), getattr(pb, f"{name}Request").FromString, lambda m: m.SerializeToString()
            )
            for name in ("ServerReady", "ModelInfer")
        }
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods),)
        )
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = run_in_background(start())
    try:
        yield f"oip://127.0.0.1:{port}", served
    finally:
        run_in_background(server.stop(None))
