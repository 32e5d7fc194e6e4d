"""Small ONNX models, as users have them: without exits, without cuts, without torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

CLASSES = 5


class Net:
    """Nodes and weights under construction."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Append a node; returns its output."""
        self.nodes.append(helper.make_node(op, list(inputs), [output], **attributes))
        return output

    def weight(self, name: str, array: NDArray[Any]) -> str:
        """Add an initializer; returns its name."""
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def dense(self, source: str, target: str, width_in: int, width_out: int) -> str:
        """A matrix product and a bias."""
        w = self.weight(f"{target}_w", self.rng.normal(0, width_in**-0.5, (width_in, width_out)).astype(np.float32))
        b = self.weight(f"{target}_b", self.rng.normal(0, 0.1, width_out).astype(np.float32))
        return self.add("Gemm", [source, w, b], target)

    def conv(self, source: str, target: str, channels_in: int, channels_out: int, stride: int = 1) -> str:
        """A 3 x 3 convolution and its activation."""
        scale = (9 * channels_in) ** -0.5
        kernel = self.rng.normal(0, scale, (channels_out, channels_in, 3, 3)).astype(np.float32)
        w = self.weight(f"{target}_w", kernel)
        self.add("Conv", [source, w], f"{target}_conv", pads=[1, 1, 1, 1], strides=[stride, stride])
        return self.add("Relu", [f"{target}_conv"], target)

    def save(
        self,
        path: Path,
        inputs: dict[str, Sequence[int | str]],
        outputs: Sequence[str],
        opset: int = 18,
        dtype: int = TensorProto.FLOAT,
        domain: str | None = None,
    ) -> Path:
        """Write the model; output shapes are left to inference."""
        graph = helper.make_graph(
            self.nodes,
            "net",
            [helper.make_tensor_value_info(name, dtype, list(shape)) for name, shape in inputs.items()],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
            self.weights,
        )
        opsets = [helper.make_opsetid("", opset), *([helper.make_opsetid(domain, 1)] if domain else [])]
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
        return path


def chain(path: Path, layers: int = 4, batch: int | str = "n", softmax: bool = False, opset: int = 18) -> Path:
    """x (n, 8) -> ``layers`` dense layers with ReLU -> y (n, 5)."""
    net, source = Net(), "x"
    for index in range(layers):
        source = net.add("Relu", [net.dense(source, f"d{index}", 8, 8)], f"h{index}")
    result = net.dense(source, "y", 8, CLASSES)
    if softmax:
        result = net.add("Softmax", [result], "p", axis=1)
    return net.save(path, {"x": [batch, 8]}, [result], opset)


def residual(path: Path, batch: int | str = "n") -> Path:
    """Images (n, 3, 8, 8): two residual blocks, a branch with concatenation, pool, classifier.

    Single tensors cross after ``stem``, ``block0``, ``block1``, ``joined`` and in the tail. The tail
    flattens with a constant target, as exporters with a fixed batch do.
    """
    net = Net(1)
    source = net.conv("image", "stem", 3, 8)
    for index in range(2):
        inner = net.conv(source, f"inner{index}", 8, 8)
        source = net.add("Add", [source, inner], f"block{index}")
    left, right = net.conv(source, "left", 8, 8, stride=2), net.conv(source, "right", 8, 8, stride=2)
    net.add("Concat", [left, right], "joined", axis=1)
    net.add("GlobalAveragePool", ["joined"], "pooled")
    target = net.weight("flat_shape", np.array([1 if batch == 1 else -1, 16], np.int64))
    net.add("Reshape", ["pooled", target], "flat")
    net.dense("flat", "scores", 16, CLASSES)
    return net.save(path, {"image": [batch, 3, 8, 8]}, ["scores"])


def two_streams(path: Path) -> Path:
    """Two parallel chains that meet at the end: two tensors cross everywhere in between."""
    net = Net(2)
    for side in ("a", "b"):
        source = "x"
        for index in range(3):
            source = net.add("Relu", [net.dense(source, f"{side}{index}_d", 8, 8)], f"{side}{index}")
    net.add("Concat", ["a2", "b2"], "both", axis=1)
    net.dense("both", "y", 16, CLASSES)
    return net.save(path, {"x": ["n", 8]}, ["y"])


def with_exits(path: Path) -> Path:
    """Four dense layers, early logits ``e0`` after the first and ``e1`` (softmax) after the third, final ``y``."""
    net, source = Net(3), "x"
    for index in range(4):
        source = net.add("Relu", [net.dense(source, f"d{index}", 8, 8)], f"h{index}")
    net.dense("h0", "e0", 8, CLASSES)
    net.dense("h2", "e1_logits", 8, CLASSES)
    net.add("Softmax", ["e1_logits"], "e1", axis=1)
    net.dense(source, "y", 8, CLASSES)
    return net.save(path, {"x": ["n", 8]}, ["e0", "e1", "y"])


def digits_net(path: Path, channels: int = 8, seed: int = 0) -> Path:
    """A classifier of the bundled digits, images (n, 1, 8, 8) in 0..1: random convolutions, a fitted last layer.

    With 8 channels it is right on about 9 of 10 test rows, with 32 on more.
    """
    from offramp.data.digits import load

    net = Net(seed)
    net.conv("image", "conv1", 1, channels)
    net.conv("conv1", "conv2", channels, channels)
    net.add("MaxPool", ["conv2"], "pool", kernel_shape=[2, 2], strides=[2, 2])
    net.add("Flatten", ["pool"], "flat")
    net.save(path, {"image": ["n", 1, 8, 8]}, ["flat"])
    digits = load()
    images = (digits.inputs[0] / 16).astype(np.float32).transpose(0, 3, 1, 2)
    flat = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(["flat"], {"image": images})[0]
    features = np.hstack([np.asarray(flat), np.ones((len(images), 1))])
    chosen = np.arange(len(images)) % 2 == 0
    targets = 8.0 * np.eye(10)[digits.labels] - 4.0
    normal = features[chosen].T @ features[chosen] + 3.0 * np.eye(features.shape[1])
    fitted = np.linalg.solve(normal, features[chosen].T @ targets[chosen]).astype(np.float32)
    net.add("Gemm", ["flat", net.weight("w", fitted[:-1]), net.weight("b", fitted[-1])], "scores")
    return net.save(path, {"image": ["n", 1, 8, 8]}, ["scores"])
