"""Run in the environment ``bentoml``: the tail behind BentoML, a request's tensor is an uploaded file."""

# mypy: ignore-errors
# its libraries are in an environment of their own

from __future__ import annotations

import os
from pathlib import Path

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=1, traffic={"timeout": 60, "max_concurrency": 256}, logging={"access": {"enabled": False}})
class Tail:
    """The network behind the cut."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            os.environ["TAIL_ONNX"], options, providers=["CPUExecutionProvider"]
        )

    @bentoml.api
    def predict(self, features: Path) -> list[float]:
        rows = np.fromfile(features, np.float32).reshape(1, 16, 32, 32)
        return self.session.run(["probabilities"], {"features": rows})[0][0].tolist()
