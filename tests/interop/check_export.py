"""Reads exported repositories with other libraries, in the environments that have them.

``python check_export.py triton CONFIG.pbtxt`` or ``python check_export.py openvino CONFIG.json ROWS.npy``
"""

from __future__ import annotations

import importlib
import json
import pathlib
import sys
from typing import Any

import numpy as np


def triton(config: str) -> Any:
    """The configuration as Triton's own message reads it; an unknown field would fail."""
    message = importlib.import_module("tritonclient.grpc.model_config_pb2").ModelConfig()
    importlib.import_module("google.protobuf.text_format").Parse(pathlib.Path(config).read_text(), message)
    return importlib.import_module("google.protobuf.json_format").MessageToDict(message)


def openvino(config: str, rows: Any) -> Any:
    """What OpenVINO computes with every model of the configuration."""
    core = importlib.import_module("openvino").Core()
    found = {}
    for entry in json.loads(pathlib.Path(config).read_text())["model_config_list"]:
        (file,) = (pathlib.Path(config).parent / entry["config"]["base_path"] / "1").glob("*.onnx")
        model = core.read_model(file)
        values = core.compile_model(model, entry["config"]["target_device"], entry["config"]["plugin_config"])(rows)
        found[entry["config"]["name"]] = {output.get_any_name(): value.tolist() for output, value in values.items()}
    return found


if __name__ == "__main__":
    answer = triton(sys.argv[2]) if sys.argv[1] == "triton" else openvino(sys.argv[2], np.load(sys.argv[3]))
    sys.stdout.write(json.dumps(answer) + "\n")
