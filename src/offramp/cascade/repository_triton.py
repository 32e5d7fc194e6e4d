"""Triton's model repository."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from offramp.cascade.manifest import TensorSpec
from offramp.cascade.repository import Repository, TailModel

__all__ = ["TritonRepository"]

_TYPES = {
    "float32": "TYPE_FP32",
    "float16": "TYPE_FP16",
    "uint8": "TYPE_UINT8",
    "int8": "TYPE_INT8",
    "int32": "TYPE_INT32",
    "int64": "TYPE_INT64",
    "bool": "TYPE_BOOL",
}

#: model.py of the Python backend: for servers that were built without the ONNX Runtime backend
_MODEL_PY = '''"""A tail of a cascade, run by ONNX Runtime inside Triton's Python backend."""

import pathlib

import onnxruntime
import triton_python_backend_utils as triton


class TritonPythonModel:
    def initialize(self, args):
        folder = pathlib.Path(args["model_repository"]) / args["model_version"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self.session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self.inputs = [tensor.name for tensor in self.session.get_inputs()]

    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        try:
            feed = {name: triton.get_input_tensor_by_name(request, name).as_numpy() for name in self.inputs}
            names = list(request.requested_output_names())
            values = self.session.run(names, feed)
        except Exception as error:
            return triton.InferenceResponse(error=triton.TritonError(str(error)))
        return triton.InferenceResponse([triton.Tensor(n, v) for n, v in zip(names, values)])
'''


@dataclass(frozen=True, slots=True)
class TritonRepository(Repository):
    """``NAME/config.pbtxt`` and ``NAME/1/model.onnx``.

    Parameters
    ----------
    backend : ``onnxruntime``, or ``python`` for servers without it: a ``model.py`` runs ONNX Runtime then
    max_batch_rows : the most rows of one request, and of what Triton computes together

    Examples
    --------
    >>> model = TailModel("tiny-from-1", (TensorSpec(name="h", dtype="float32", shape=(None, 8)),), 3, b"")
    >>> print(TritonRepository().model_files(model)["config.pbtxt"].decode().splitlines()[0])
    name: "tiny-from-1"
    """

    backend: Literal["onnxruntime", "python"] = "onnxruntime"
    max_batch_rows: int = 64

    def model_files(self, model: TailModel) -> dict[str, bytes]:
        files = {"config.pbtxt": self._config(model).encode(), "1/model.onnx": model.content}
        if self.backend == "python":
            files["1/model.py"] = _MODEL_PY.encode()
        return files

    def _config(self, model: TailModel) -> str:
        lines = [
            f'name: "{model.name}"',
            f'backend: "{self.backend}"',
            f"max_batch_size: {self.max_batch_rows}",
            *_tensors("input", model.inputs),
            *_tensors("output", model.outputs),
            "dynamic_batching { }",
            "instance_group [ { kind: KIND_CPU count: 1 } ]",
        ]
        if self.backend == "onnxruntime":
            keys = ("intra_op_thread_count", "inter_op_thread_count")
            lines += [f'parameters {{ key: "{key}" value: {{ string_value: "1" }} }}' for key in keys]
        return "\n".join(lines) + "\n"


def _tensors(kind: str, specs: Sequence[TensorSpec]) -> list[str]:
    """The batch dimension is Triton's own and left out."""
    lines = []
    for spec in specs:
        sizes = ", ".join("-1" if size is None else str(size) for size in spec.row_shape)
        lines.append(f'{kind} [ {{ name: "{spec.name}" data_type: {_TYPES[spec.dtype]} dims: [ {sizes} ] }} ]')
    return lines
