"""Run in the environment ``litserve``: the tail behind LitServe, a request's body is its tensor.

No ``from __future__ import annotations`` here: FastAPI reads the annotation of ``decode_request`` itself.
"""

# mypy: ignore-errors
# its libraries are in an environment of their own

import sys
from typing import Annotated

import litserve
import numpy as np
import onnxruntime
from fastapi import Depends, Request, Response


async def body(request: Request) -> bytes:
    """The bytes as they came: LitServe itself would parse JSON."""
    return await request.body()


class Tail(litserve.LitAPI):
    """The network behind the cut."""

    def setup(self, device: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])

    def decode_request(self, request: Annotated[bytes, Depends(body)]) -> np.ndarray:
        return np.frombuffer(request, np.float32).reshape(16, 32, 32)

    def batch(self, inputs: list[np.ndarray]) -> np.ndarray:
        return np.stack(inputs)

    def predict(self, rows: np.ndarray) -> np.ndarray:
        rows = rows if rows.ndim == 4 else rows[None]
        return self.session.run(["probabilities"], {"features": rows})[0]

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray) -> Response:
        return Response(output.tobytes(), media_type="application/octet-stream")


if __name__ == "__main__":
    api = Tail(max_batch_size=64, batch_timeout=0.001)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), log_level="error", generate_client_file=False)
