"""Run in the environment ``ray``: the tail behind Ray Serve's HTTP, a request's body is its tensor."""

# mypy: ignore-errors
# its libraries are in an environment of their own

from __future__ import annotations

import signal
import sys

import numpy as np
import onnxruntime
import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import Response


@serve.deployment(num_replicas=1, max_ongoing_requests=256)
class Tail:
    """The network behind the cut."""

    def __init__(self, path: str) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])

    @serve.batch(max_batch_size=64, batch_wait_timeout_s=0.0)
    async def predict(self, rows: list[np.ndarray]) -> list[np.ndarray]:
        return list(self.session.run(["probabilities"], {"features": np.stack(rows)})[0])

    async def __call__(self, request: Request) -> Response:
        row = np.frombuffer(await request.body(), np.float32).reshape(16, 32, 32)
        return Response((await self.predict(row)).tobytes(), media_type="application/octet-stream")


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="error")
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(sys.argv[2])}, logging_config={"enable_access_log": False}
    )
    serve.run(Tail.bind(sys.argv[1]), name="tail", route_prefix="/predict")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    signal.sigwait({signal.SIGTERM, signal.SIGINT})
    serve.shutdown()
    ray.shutdown()
