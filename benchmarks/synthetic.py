"""Convolutional cascades of chosen size with random weights, for timing only."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from offramp.cascade.manifest import Calibration, ExitSpec, Manifest, Provenance, SegmentSpec, TensorSpec
from offramp.cascade.store import Cascade, save_cascade
from offramp.planning.plan import GateSpec, Plan

__all__ = ["conv_cascade", "image", "plan_for"]

CHANNELS, SIDE, CLASSES = 16, 32, 10


def conv_cascade(folder: Path, convolutions: tuple[int, ...]) -> Cascade:
    """A cascade for uint8 images (n, 3, 32, 32): so many 3x3 convolutions of 16 channels in each segment.

    Three convolutions take about as long as the first stage of a ResNet-8.
    """
    generator = np.random.default_rng(0)
    files, specs = {}, []
    tensor = TensorSpec(name="image", dtype="uint8", shape=(None, 3, SIDE, SIDE))
    inputs = (tensor,)
    for index, count in enumerate(convolutions):
        last = index == len(convolutions) - 1
        target = TensorSpec(name=f"features{index}", dtype="float32", shape=(None, CHANNELS, SIDE, SIDE))
        content = _segment(generator, tensor, target, count, last)
        file = f"segment-{index:02d}.onnx"
        files[file] = content
        specs.append(
            SegmentSpec(
                file=file,
                sha256=hashlib.sha256(content).hexdigest(),
                file_bytes=len(content),
                inputs=(tensor,),
                outputs=() if last else (target,),
                exit=ExitSpec(name=f"exit{index}", module=f"stage{index}"),
            )
        )
        tensor = target
    manifest = Manifest(
        name="synthetic",
        labels=tuple(str(label) for label in range(CLASSES)),
        inputs=inputs,
        segments=tuple(specs),
        calibration=Calibration(temperatures=(1.0,) * len(specs)),
        provenance=Provenance(created_utc="2026-01-01T00:00:00Z", command="benchmarks"),
    )
    return save_cascade(folder / "synthetic.cascade", manifest, files)


def plan_for(cascade: Cascade, tiers: tuple[str, ...], placement: tuple[str, ...], threshold: float | None) -> Plan:
    """A plan with the same threshold at every exit but the last."""
    manifest = cascade.manifest
    exits = len(manifest.exit_segments)
    return Plan(
        cascade=manifest.name,
        cascade_fingerprint=manifest.fingerprint,
        tiers=tiers,
        placement=placement,
        gates=(GateSpec(threshold=threshold),) * (exits - 1),
        temperatures=manifest.calibration.temperatures,
    )


def image(cascade: Cascade) -> NDArray[np.uint8]:
    """A random image the cascade takes."""
    shape = [size or 1 for size in cascade.manifest.inputs[0].row_shape]
    return np.random.default_rng(1).integers(0, 256, shape, dtype=np.uint8)


def _segment(
    generator: np.random.Generator, source: TensorSpec, target: TensorSpec, convolutions: int, last: bool
) -> bytes:
    weights: dict[str, NDArray[np.generic]] = {
        "head_w": generator.normal(0, 0.3, (CHANNELS, CLASSES)).astype(np.float32),
        "temperature": np.array(1.0, np.float32),
        "spatial": np.array([2, 3], np.int64),
        "last_axis": np.array([-1], np.int64),
    }
    nodes, value, channels = [], source.name, CHANNELS
    if source.dtype == "uint8":
        weights["scale"] = np.array(1 / 255, np.float32)
        nodes.append(helper.make_node("Cast", [value], ["pixels"], to=TensorProto.FLOAT))
        nodes.append(helper.make_node("Mul", ["pixels", "scale"], ["scaled_pixels"]))
        value, channels = "scaled_pixels", 3
    for index in range(convolutions):
        bound = (2 / (9 * channels)) ** 0.5
        weights[f"w{index}"] = generator.normal(0, bound, (CHANNELS, channels, 3, 3)).astype(np.float32)
        result = target.name if index == convolutions - 1 else f"relu{index}"
        nodes.append(helper.make_node("Conv", [value, f"w{index}"], [f"conv{index}"], pads=[1, 1, 1, 1]))
        nodes.append(helper.make_node("Relu", [f"conv{index}"], [result]))
        value, channels = result, CHANNELS
    nodes += _exit(value)
    outputs: list[tuple[str, list[int | None]]] = [
        ("logits", [None, CLASSES]),
        ("probabilities", [None, CLASSES]),
        ("confidence", [None]),
    ]
    graph = helper.make_graph(
        nodes,
        "segment",
        [
            helper.make_tensor_value_info(
                source.name, TensorProto.UINT8 if source.dtype == "uint8" else TensorProto.FLOAT, list(source.shape)
            ),
            helper.make_tensor_value_info("temperature", TensorProto.FLOAT, []),
        ],
        [
            *([] if last else [helper.make_tensor_value_info(target.name, TensorProto.FLOAT, list(target.shape))]),
            *(helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs),
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _exit(features: str) -> list[onnx.NodeProto]:
    return [
        helper.make_node("ReduceMean", [features, "spatial"], ["pooled"], keepdims=0),
        helper.make_node("MatMul", ["pooled", "head_w"], ["logits"]),
        helper.make_node("Div", ["logits", "temperature"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["probabilities"], axis=-1),
        helper.make_node("ReduceMax", ["probabilities", "last_axis"], ["confidence"], keepdims=0),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=-1, keepdims=0),
    ]
