"""Floating point operations of an ONNX node."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import onnx_ir as ir

__all__ = ["HEAVY", "node_flops"]

#: operators that count -> where their data and their weights are among the inputs
HEAVY = {
    "Conv": (0, 1),
    "ConvInteger": (0, 1),
    "ConvTranspose": (0, 1),
    "Gemm": (0, 1),
    "MatMul": (0, 1),
    "MatMulInteger": (0, 1),
    "QLinearConv": (0, 3),
    "QLinearMatMul": (0, 3),
}


def node_flops(node: ir.Node, shapes: Mapping[str, tuple[int, ...]]) -> int:
    """Two operations per multiply-add of convolutions and matrix products; all else counts as 0.

    Parameters
    ----------
    node : of a model
    shapes : of its data, weights and output, for one row
    """
    if node.op_type not in HEAVY:
        return 0
    data, weights = (shapes[str(node.inputs[i].name)] for i in HEAVY[node.op_type])  # type: ignore[union-attr]
    output = shapes[str(node.outputs[0].name)]
    if node.op_type == "ConvTranspose":
        return 2 * prod(data) * prod(weights[1:])
    if node.op_type in ("Conv", "ConvInteger", "QLinearConv"):
        return 2 * prod(output) * prod(weights[1:])
    transposed = node.op_type == "Gemm" and "transA" in node.attributes and node.attributes["transA"].as_int() == 1
    return 2 * prod(output) * (data[0] if transposed else data[-1])
