"""Making the batch of a model symbolic."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from offramp.cascade.graph import OnnxGraph
from offramp.errors import CascadeError

__all__ = ["make_batch_symbolic"]

BATCH = "batch"


def make_batch_symbolic(graph: OnnxGraph) -> None:
    """Let the first dimension of every input be any number of rows.

    A fixed batch b is also taken out of the target of every ``Reshape`` to ``[b, ...]`` with a
    constant target. Whether the model then works for any batch must be tried: see `probe`.

    Raises
    ------
    CascadeError : an input has no dimensions, or inputs have different fixed batches
    """
    fixed = set()
    for value in graph.inputs:
        if value.shape is None or not len(value.shape):
            raise CascadeError(
                f"{graph.where}: input {graph.name_of(value)!r} has no batch dimension; "
                "export the model with rows as the first dimension of every input"
            )
        if isinstance(value.shape[0], int):
            fixed.add(value.shape[0])
        value.shape = ir.Shape([BATCH, *value.shape[1:]])
    if len(fixed) > 1:
        raise CascadeError(f"{graph.where}: its inputs have different fixed batches {sorted(fixed)}; export it again")
    _forget_shapes(graph.model.graph)
    if fixed:
        graph.fixed_batch = fixed.pop()
        _free_reshapes(graph, graph.fixed_batch)


def _forget_shapes(graph: ir.Graph) -> None:
    """Shapes noted inside the file may hold the fixed batch."""
    for node in graph.all_nodes():
        for value in node.outputs:
            value.shape = None


def _free_reshapes(graph: OnnxGraph, batch: int) -> None:
    for index, node in enumerate(list(graph.model.graph)):
        if node.op_type != "Reshape" or node.inputs[0] is None or graph.is_constant(node.inputs[0]):
            continue
        target = None if node.inputs[1] is None else ir.convenience.get_const_tensor(node.inputs[1])
        if target is None or target.size == 0 or int(target.numpy()[0]) != batch:
            continue
        free = target.numpy().astype(np.int64).copy()
        free[0] = 0 if -1 in free else -1  # -1 is what is left over, 0 copies the dimension of the data
        name = f"offramp_shape_{index}"
        value = ir.Value(name=name, const_value=ir.tensor(free, name=name), shape=ir.Shape(free.shape))
        value.type = ir.TensorType(ir.DataType.INT64)
        graph.model.graph.register_initializer(value)
        node.replace_input_with(1, value)
