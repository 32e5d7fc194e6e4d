"""The exit's outputs, added to an ONNX model that computes logits."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from offramp.cascade.segment import CONFIDENCE, LABEL, LOGITS, PROBABILITIES, TEMPERATURE

__all__ = ["append_exit", "logits_before_exit", "logits_behind"]

#: what may stand between a softmax and the output without changing the class
_PASSED_ON = ("Identity", "Cast", "QuantizeLinear", "DequantizeLinear")


def logits_behind(output: ir.Value) -> ir.Value:
    """The logits of an output: what goes into its softmax, or the output itself if it has none."""
    value = output
    while (node := value.producer()) is not None and node.op_type in _PASSED_ON and node.inputs[0] is not None:
        value = node.inputs[0]
    if node is not None and node.op_type in ("Softmax", "LogSoftmax") and node.inputs[0] is not None:
        return node.inputs[0]
    return output


def logits_before_exit(output: ir.Value) -> ir.Value:
    """What an exit made by `append_exit` was appended to, or the output itself if another hand made it."""
    value = output
    while (node := value.producer()) is not None and str(node.name).startswith("exit/") and node.inputs[0] is not None:
        value = node.inputs[0]
    return value


def append_exit(graph: ir.Graph, logits: ir.Value, classes: int) -> None:
    """Give a graph the outputs of an exit.

    They are ``logits`` and ``probabilities`` (n, K) float32, ``confidence`` (n,) float32 and
    ``label`` (n,) int64. ``temperature`` becomes an overridable initializer, 1.0 unless it is fed.

    Parameters
    ----------
    graph : changed in place; must not use the names of the exit
    logits : (n, K) or (n, K, 1, 1), a value of the graph
    classes : K
    """
    if logits.shape is None or len(logits.shape) != 2:
        flat = ir.node("Flatten", [logits], {"axis": 1}, name="exit/flat")
        flat.outputs[0].name = "exit/flat"
        graph.append(flat)
        logits = flat.outputs[0]
    temperature = ir.Value(
        name=TEMPERATURE,
        type=ir.TensorType(ir.DataType.FLOAT),
        shape=ir.Shape([]),
        const_value=ir.tensor(np.array(1.0, np.float32), name=TEMPERATURE),
    )
    graph.inputs.append(temperature)
    graph.register_initializer(temperature)
    raw = ir.node("Cast", [logits], {"to": int(ir.DataType.FLOAT)}, name=f"exit/{LOGITS}")
    scaled = ir.node("Div", [raw.outputs[0], temperature], name="exit/scaled")
    softmax = ir.node("Softmax", [scaled.outputs[0]], {"axis": 1}, name=f"exit/{PROBABILITIES}")
    probabilities = softmax.outputs[0]
    confidence = _row_maximum(graph, probabilities)
    label = ir.node("ArgMax", [probabilities], {"axis": 1, "keepdims": 0}, name=f"exit/{LABEL}")
    nodes = [raw, scaled, softmax, confidence, label]
    for node in nodes:
        node.outputs[0].name = str(node.name).removeprefix("exit/")
    scaled.outputs[0].name = "exit/scaled"
    graph.extend(nodes)
    rows: list[tuple[ir.Node, ir.DataType, list[int]]] = [
        (raw, ir.DataType.FLOAT, [classes]),
        (softmax, ir.DataType.FLOAT, [classes]),
        (confidence, ir.DataType.FLOAT, []),
        (label, ir.DataType.INT64, []),
    ]
    for node, dtype, row in rows:
        output = node.outputs[0]
        output.type, output.shape = ir.TensorType(dtype), ir.Shape(["batch", *row])
        graph.outputs.append(output)


def _row_maximum(graph: ir.Graph, probabilities: ir.Value) -> ir.Node:
    """ReduceMax over the classes; its axes became an input with operator set 18."""
    name = f"exit/{CONFIDENCE}"
    if graph.opset_imports.get("", 0) < 18:
        return ir.node("ReduceMax", [probabilities], {"axes": [1], "keepdims": 0}, name=name)
    axes = ir.Value(name="exit/axes", const_value=ir.tensor(np.array([1], np.int64), name="exit/axes"))
    axes.type, axes.shape = ir.TensorType(ir.DataType.INT64), ir.Shape([1])
    graph.register_initializer(axes)
    return ir.node("ReduceMax", [probabilities, axes], {"keepdims": 0}, name=name)
