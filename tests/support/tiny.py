"""A real cascade small enough to make in milliseconds, without torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from offramp.cascade.manifest import Calibration, ExitSpec, Manifest, Provenance, SegmentSpec, TensorSpec
from offramp.cascade.store import Cascade, save_cascade

FEATURES, HIDDEN, CLASSES = 4, 8, 3


def exit_nodes(features: str) -> list[onnx.NodeProto]:
    """The classifier head and the outputs every exit has."""
    return [
        helper.make_node("Gemm", [features, "head_w", "head_b"], ["logits"]),
        helper.make_node("Div", ["logits", "temperature"], ["scaled"]),
        helper.make_node("Softmax", ["scaled"], ["probabilities"], axis=-1),
        helper.make_node("ReduceMax", ["probabilities", "last_axis"], ["confidence"], keepdims=0),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=-1, keepdims=0),
    ]


def _segment(rng: np.random.Generator, source: str, width_in: int, target: str, classes: int) -> bytes:
    weights: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {
        "w": rng.normal(0, 1, (width_in, HIDDEN)).astype(np.float32),
        "head_w": rng.normal(0, 1, (HIDDEN, classes)).astype(np.float32),
        "head_b": np.zeros(classes, np.float32),
        "temperature": np.array(1.0, np.float32),
        "last_axis": np.array([-1], np.int64),
    }
    nodes = [
        helper.make_node("MatMul", [source, "w"], ["product"]),
        helper.make_node("Relu", ["product"], [target]),
        *exit_nodes(target),
    ]
    batch = "batch"
    graph = helper.make_graph(
        nodes,
        "segment",
        [
            helper.make_tensor_value_info(source, TensorProto.FLOAT, [batch, width_in]),
            helper.make_tensor_value_info("temperature", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info(target, TensorProto.FLOAT, [batch, HIDDEN]),
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [batch, classes]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [batch, classes]),
            helper.make_tensor_value_info("confidence", TensorProto.FLOAT, [batch]),
            helper.make_tensor_value_info("label", TensorProto.INT64, [batch]),
        ],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def make_tiny_cascade(
    folder: Path, name: str = "tiny", segments: int = 2, seed: int = 0, classes: int = CLASSES
) -> Cascade:
    """``segments`` segments, an exit after each, float32 input ``x`` (n, 4), so many classes (a, b, c, or numbers)."""
    rng = np.random.default_rng(seed)
    files: dict[str, bytes] = {}
    specs = []
    source, width = "x", FEATURES
    for index in range(segments):
        target = f"h{index}"
        content = _segment(rng, source, width, target, classes)
        file = f"segment-{index:02d}.onnx"
        files[file] = content
        last = index == segments - 1
        exit_name = "final" if last else ("early" if index == 0 else f"middle{index}")
        specs.append(
            SegmentSpec(
                file=file,
                sha256=hashlib.sha256(content).hexdigest(),
                file_bytes=len(content),
                inputs=(TensorSpec(name=source, dtype="float32", shape=(None, width)),),
                outputs=() if last else (TensorSpec(name=target, dtype="float32", shape=(None, HIDDEN)),),
                exit=ExitSpec(name=exit_name, module=f"layers.{index}"),
                flops=2 * width * HIDDEN,
            )
        )
        source, width = target, HIDDEN
    manifest = Manifest(
        name=name,
        labels=("a", "b", "c") if classes == CLASSES else tuple(str(index) for index in range(classes)),
        inputs=(TensorSpec(name="x", dtype="float32", shape=(None, FEATURES)),),
        segments=tuple(specs),
        calibration=Calibration(temperatures=(1.0,) * segments),
        provenance=Provenance(created_utc="2026-01-01T00:00:00Z", command="tests"),
    )
    return save_cascade(folder / f"{name}.cascade", manifest, files, overwrite=True)


def tiny_rows(rows: int, seed: int = 1) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """Inputs (rows, 4) float32 for the tiny cascade."""
    return np.random.default_rng(seed).normal(0, 1, (rows, FEATURES)).astype(np.float32)
