"""A real cascade that reads text, small enough to make in milliseconds, without torch."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from offramp.cascade.manifest import (
    Calibration,
    ExitSpec,
    Manifest,
    Provenance,
    SegmentSpec,
    TensorSpec,
    TokenizerSpec,
)
from offramp.cascade.store import Cascade, save_cascade
from tests.support.texts import SPECIAL, WORDS, make_tokenizer_file
from tests.support.tiny import CLASSES, HIDDEN, exit_nodes

ROWS = ["batch", "length"]


def make_tiny_text_cascade(folder: Path, name: str = "words", max_length: int = 16, segments: int = 2) -> Cascade:
    """Segments with an exit after each, inputs ``ids`` and ``mask`` (n, L) int64, 3 classes."""
    rng = np.random.default_rng(0)
    first = [
        helper.make_node("Gather", ["w", "ids"], ["cut1"]),
        helper.make_node("Identity", ["mask"], ["mask1"]),
        *_mean_nodes("cut1", "mask"),
    ]
    vocabulary = len(SPECIAL) + len(WORDS)
    files = {"segment-00.onnx": _model(first, "ids", "mask", rng.normal(0, 1, (vocabulary, HIDDEN)), rng)}
    for index in range(1, segments):
        nodes, handed = _later_nodes(index, last=index == segments - 1)
        weights = rng.normal(0, 1, (HIDDEN, HIDDEN))
        files[f"segment-{index:02}.onnx"] = _model(nodes, f"cut{index}", f"mask{index}", weights, rng, handed)
    token = {"dtype": "int64", "shape": (None, None)}
    inputs = (TensorSpec(name="ids", **token), TensorSpec(name="mask", **token))
    cuts = [
        (
            TensorSpec(name=f"cut{index}", dtype="float32", shape=(None, None, HIDDEN)),
            TensorSpec(name=f"mask{index}", **token),
        )
        for index in range(1, segments)
    ]
    between = [inputs, *cuts, ()]
    names = ["early", *(f"middle{index}" for index in range(1, segments - 1)), "final"]
    content = make_tokenizer_file(folder / "tokenizer").read_bytes()
    files["tokenizer.json"] = content
    manifest = Manifest(
        name=name,
        labels=("a", "b", "c"),
        inputs=inputs,
        tokenizer=TokenizerSpec(
            file="tokenizer.json", sha256=_sha256(content), file_bytes=len(content), max_length=max_length
        ),
        segments=tuple(
            _spec(f"segment-{index:02}.onnx", files, between[index], between[index + 1], names[index])
            for index in range(segments)
        ),
        calibration=Calibration(temperatures=(1.0,) * segments),
        provenance=Provenance(created_utc="2026-01-01T00:00:00Z", command="tests"),
    )
    return save_cascade(folder / f"{name}.cascade", manifest, files, overwrite=True)


def _later_nodes(index: int, last: bool) -> tuple[list[onnx.NodeProto], int | None]:
    """A segment that is not the first, and the number of the cut behind it."""
    hidden = "hidden" if last else f"cut{index + 1}"
    nodes = [
        helper.make_node("MatMul", [f"cut{index}", "w"], ["product"]),
        helper.make_node("Relu", ["product"], [hidden]),
        *_mean_nodes(hidden, f"mask{index}"),
    ]
    if last:
        return nodes, None
    return [*nodes, helper.make_node("Identity", [f"mask{index}"], [f"mask{index + 1}"])], index + 1


def _mean_nodes(hidden: str, mask: str) -> list[onnx.NodeProto]:
    """Mean over the tokens that are no padding, and the exit behind it."""
    return [
        helper.make_node("Cast", [mask], ["weight"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["weight", "last_axis"], ["weights"]),
        helper.make_node("Mul", [hidden, "weights"], ["weighted"]),
        helper.make_node("ReduceSum", ["weighted", "length_axis"], ["sum"], keepdims=0),
        helper.make_node("ReduceSum", ["weights", "length_axis"], ["tokens"], keepdims=0),
        helper.make_node("Div", ["sum", "tokens"], ["mean"]),
        *exit_nodes("mean"),
    ]


def _model(
    nodes: list[onnx.NodeProto],
    features: str,
    mask: str,
    w: np.ndarray[tuple[int, ...], np.dtype[np.float64]],
    rng: np.random.Generator,
    handed_over: int | None = 1,
) -> bytes:
    weights: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.generic]]] = {
        "w": w.astype(np.float32),
        "head_w": rng.normal(0, 1, (HIDDEN, CLASSES)).astype(np.float32),
        "head_b": np.zeros(CLASSES, np.float32),
        "temperature": np.array(1.0, np.float32),
        "last_axis": np.array([-1], np.int64),
        "length_axis": np.array([1], np.int64),
    }
    value = helper.make_tensor_value_info
    given = (TensorProto.INT64, ROWS) if features == "ids" else (TensorProto.FLOAT, [*ROWS, HIDDEN])
    outputs = [
        value("logits", TensorProto.FLOAT, ["batch", CLASSES]),
        value("probabilities", TensorProto.FLOAT, ["batch", CLASSES]),
        value("confidence", TensorProto.FLOAT, ["batch"]),
        value("label", TensorProto.INT64, ["batch"]),
    ]
    if handed_over is not None:
        cut, handed_mask = f"cut{handed_over}", f"mask{handed_over}"
        handed = [value(cut, TensorProto.FLOAT, [*ROWS, HIDDEN]), value(handed_mask, TensorProto.INT64, ROWS)]
        outputs = [*handed, *outputs]
    graph = helper.make_graph(
        nodes,
        "segment",
        [value(features, *given), value(mask, TensorProto.INT64, ROWS), value("temperature", TensorProto.FLOAT, [])],
        outputs,
        [numpy_helper.from_array(array, key) for key, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def _spec(
    file: str, files: dict[str, bytes], inputs: tuple[TensorSpec, ...], outputs: tuple[TensorSpec, ...], name: str
) -> SegmentSpec:
    return SegmentSpec(
        file=file,
        sha256=_sha256(files[file]),
        file_bytes=len(files[file]),
        inputs=inputs,
        outputs=outputs,
        exit=ExitSpec(name=name, module=name),
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
