"""The model repository of MLServer."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from offramp.cascade.manifest import TensorSpec
from offramp.cascade.repository import Repository, TailModel

__all__ = ["MLServerRepository"]

_DATATYPES = {
    "float32": "FP32",
    "float16": "FP16",
    "uint8": "UINT8",
    "int8": "INT8",
    "int32": "INT32",
    "int64": "INT64",
    "bool": "BOOL",
}

#: MLServer brings no runtime for ONNX files
_RUNTIME = '''"""A tail of a cascade, run by ONNX Runtime inside MLServer."""

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceResponse
from mlserver.utils import get_model_uri


class Tail(MLModel):
    async def load(self):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        path = await get_model_uri(self.settings)
        self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload):
        feed = {tensor.name: NumpyCodec.decode_input(tensor) for tensor in payload.inputs}
        names = [output.name for output in payload.outputs or []]
        names = names or [output.name for output in self.session.get_outputs()]
        values = self.session.run(names, feed)
        outputs = [NumpyCodec.encode_output(name, value) for name, value in zip(names, values)]
        return InferenceResponse(id=payload.id, model_name=self.name, model_version=self.version, outputs=outputs)
'''


@dataclass(frozen=True, slots=True)
class MLServerRepository(Repository):
    """``NAME/model-settings.json``, ``NAME/tail_runtime.py`` and ``NAME/model.onnx``; ``settings.json`` for the server.

    Examples
    --------
    >>> sorted(MLServerRepository().model_files(TailModel("t", (), 3, b"")))
    ['model-settings.json', 'model.onnx', 'tail_runtime.py']
    """

    def model_files(self, model: TailModel) -> dict[str, bytes]:
        settings = {
            "name": model.name,
            "implementation": "tail_runtime.Tail",
            "platform": "onnx",
            "inputs": _tensors(model.inputs),
            "outputs": _tensors(model.outputs),
            "parameters": {"uri": "./model.onnx", "version": "1"},
        }
        return {
            "model-settings.json": (json.dumps(settings, indent=2) + "\n").encode(),
            "tail_runtime.py": _RUNTIME.encode(),
            "model.onnx": model.content,
        }

    def shared_files(self, names: Sequence[str]) -> dict[str, bytes]:
        return {"settings.json": (json.dumps({"parallel_workers": 0}, indent=2) + "\n").encode()}


def _tensors(specs: Sequence[TensorSpec]) -> list[dict[str, object]]:
    return [
        {
            "name": spec.name,
            "datatype": _DATATYPES[spec.dtype],
            "shape": [-1 if size is None else size for size in spec.shape],
        }
        for spec in specs
    ]
