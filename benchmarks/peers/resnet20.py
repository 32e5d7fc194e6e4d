"""A ResNet-20 in two parts, with random weights: what is measured does not depend on them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from offramp.cascade.manifest import Calibration, ExitSpec, Manifest, Provenance, SegmentSpec, TensorSpec
from offramp.cascade.store import Cascade, save_cascade

__all__ = ["CUT", "resnet20"]

#: where the network is cut: behind the first stage, where the features of an image take 64 KB
CUT = 1
CLASSES, SIDE = 10, 32
#: channels of the three stages, three blocks of two convolutions each
STAGES = (16, 32, 64)

_IMAGE = TensorSpec(name="image", dtype="float32", shape=(None, 3, SIDE, SIDE))
_FEATURES = TensorSpec(name="features", dtype="float32", shape=(None, STAGES[0], SIDE, SIDE))


def resnet20(folder: Path) -> Cascade:
    """The cascade ``resnet20.cascade`` in a folder: the first stage with an exit, and the other two with theirs.

    Source: He et al. 2016, section 4.2; batch normalisation is folded into the convolutions.
    """
    head, tail = _Part(0), _Part(1)
    value = head.convolution(_IMAGE.name, 3, STAGES[0])
    for block in range(3):
        value = head.block(value, STAGES[0], STAGES[0], 1, _FEATURES.name if block == 2 else None)
    head.exit(value, STAGES[0])
    value, channels = _FEATURES.name, STAGES[0]
    for wider in STAGES[1:]:
        for block in range(3):
            value = tail.block(value, channels, wider, 2 if block == 0 else 1)
            channels = wider
    tail.exit(value, channels)
    files = {
        "segment-00.onnx": head.content(_IMAGE, _FEATURES),
        "segment-01.onnx": tail.content(_FEATURES, None),
    }
    tensors = (_IMAGE, _FEATURES)
    specs = tuple(
        SegmentSpec(
            file=name,
            sha256=hashlib.sha256(content).hexdigest(),
            file_bytes=len(content),
            inputs=(tensors[index],),
            outputs=(_FEATURES,) if index == 0 else (),
            exit=ExitSpec(name=f"exit{index}", module=f"stage{index}"),
        )
        for index, (name, content) in enumerate(files.items())
    )
    manifest = Manifest(
        name="resnet20",
        labels=tuple(map(str, range(CLASSES))),
        inputs=(_IMAGE,),
        segments=specs,
        calibration=Calibration(temperatures=(1.0, 1.0)),
        provenance=Provenance(created_utc="2026-01-01T00:00:00Z", command="benchmarks"),
    )
    return save_cascade(folder / "resnet20.cascade", manifest, files)


class _Part:
    """One segment's graph as it grows."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self._nodes: list[onnx.NodeProto] = []
        self._weights: dict[str, NDArray[np.generic]] = {
            "temperature": np.array(1.0, np.float32),
            "spatial": np.array([2, 3], np.int64),
            "last_axis": np.array([-1], np.int64),
        }

    def _add(self, kind: str, inputs: list[str], output: str | None = None, **attributes: Any) -> str:
        name = output or f"value{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def _weight(self, *shape: int) -> str:
        name = f"weight{len(self._weights)}"
        fan_in = int(np.prod(shape[1:])) or 1
        self._weights[name] = self._random.normal(0, (2 / fan_in) ** 0.5, shape).astype(np.float32)
        return name

    def convolution(self, value: str, channels: int, wider: int, stride: int = 1, relu: bool = True) -> str:
        bias = f"bias{len(self._weights)}"
        self._weights[bias] = np.zeros(wider, np.float32)
        inputs = [value, self._weight(wider, channels, 3, 3), bias]
        found = self._add("Conv", inputs, pads=[1, 1, 1, 1], strides=[stride, stride])
        return self._add("Relu", [found]) if relu else found

    def block(self, value: str, channels: int, wider: int, stride: int, output: str | None = None) -> str:
        inner = self.convolution(value, channels, wider, stride)
        inner = self.convolution(inner, wider, wider, relu=False)
        if stride > 1:
            value = self._add("Conv", [value, self._weight(wider, channels, 1, 1)], strides=[stride, stride])
        return self._add("Relu", [self._add("Add", [value, inner])], output)

    def exit(self, value: str, channels: int) -> None:
        pooled = self._add("ReduceMean", [value, "spatial"], keepdims=0)
        self._weights["head"] = self._random.normal(0, 0.1, (channels, CLASSES)).astype(np.float32)
        self._add("MatMul", [pooled, "head"], "logits")
        self._add("Div", ["logits", "temperature"], "scaled")
        self._add("Softmax", ["scaled"], "probabilities", axis=-1)
        self._add("ReduceMax", ["probabilities", "last_axis"], "confidence", keepdims=0)
        self._add("ArgMax", ["probabilities"], "label", axis=-1, keepdims=0)

    def content(self, source: TensorSpec, target: TensorSpec | None) -> bytes:
        outputs = [
            *([] if target is None else [_info(target)]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [None, CLASSES]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, CLASSES]),
            helper.make_tensor_value_info("confidence", TensorProto.FLOAT, [None]),
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
        ]
        inputs = [_info(source), helper.make_tensor_value_info("temperature", TensorProto.FLOAT, [])]
        weights = [numpy_helper.from_array(value, name) for name, value in self._weights.items()]
        graph = helper.make_graph(self._nodes, "segment", inputs, outputs, weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


def _info(spec: TensorSpec) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(spec.name, TensorProto.FLOAT, list(spec.shape))
