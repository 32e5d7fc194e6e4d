"""What a model is made of: its operations in order, their cost, and where it may be cut."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import accumulate

import onnx_ir as ir

from offramp.cascade.cuts import CutPoint
from offramp.cascade.flops import HEAVY, node_flops
from offramp.cascade.flow import crossing_sets
from offramp.cascade.graph import OnnxGraph, reads
from offramp.cascade.manifest import TensorSpec
from offramp.cascade.probe import Probe, input_specs, probe

__all__ = ["Anatomy", "dissect"]


@dataclass(frozen=True)
class Anatomy:
    """A model seen through its output ``logits``.

    ``nodes`` are the operations ``logits`` needs, in order, without constants; ``cuts`` all valid cut
    points; ``flops`` one number per node that matters, for one row (dynamic dimensions at
    `NOMINAL_SIZE`).
    """

    graph: OnnxGraph
    logits: ir.Value
    nodes: tuple[ir.Node, ...]
    inputs: tuple[TensorSpec, ...]
    cuts: tuple[CutPoint, ...]
    flops: dict[ir.Node, int]
    probe: Probe

    @property
    def total_flops(self) -> int:
        """Of one row through the whole model, side exits not counted."""
        return sum(self.flops[node] for node in self.nodes)

    @property
    def has_fixed_rows(self) -> bool:
        """Whether no dimension but the batch is dynamic, so that flops hold for every row."""
        return not any(None in spec.row_shape for spec in self.inputs)

    def side_nodes(self, exit_logits: ir.Value) -> list[ir.Node]:
        """The nodes that only the exit needs."""
        main = set(self.nodes)
        return [node for node in self.graph.nodes_for([exit_logits]) if node not in main]

    def earliest(self, exit_logits: ir.Value) -> int:
        """How many operations must be done before the exit has what it reads of the main path."""
        side = set(self.side_nodes(exit_logits))
        needed = {exit_logits, *(value for node in side for value in reads(node))}
        return max((i for i, node in enumerate(self.nodes, start=1) if needed & set(node.outputs)), default=0)


def dissect(graph: OnnxGraph, logits: ir.Value, exits: Collection[ir.Value] = (), max_crossing: int = 1) -> Anatomy:
    """Find every valid cut of a model.

    A cut is valid where at most ``max_crossing`` tensors cross (see `crossing_sets`) and each of them
    has one row per row of the input (see `probe`).

    Parameters
    ----------
    graph : with a symbolic batch
    logits : (n, K), the model's result
    exits : (n, K) logits of early exits, beside the main path
    max_crossing : at most so many tensors at a cut

    Raises
    ------
    CascadeError : ONNX Runtime cannot run the model
    """
    nodes = graph.nodes_for([logits])
    inputs = input_specs(graph)
    crossing = crossing_sets(
        graph.steps_for(nodes), [spec.name for spec in inputs], str(logits.name), max_crossing=max_crossing
    )
    matter = graph.nodes_for([logits, *exits])
    heavy = [node for node in matter if node.op_type in HEAVY]
    shown = [str(v.name) for node in heavy for v in (*_operands(node), node.outputs[0]) if not v.is_initializer()]
    names = [str(value.name) for value in (logits, *exits)]
    seen = probe(graph, list(dict.fromkeys([*names, *shown, *(name for names in crossing.values() for name in names)])))
    flops = _flops(matter, seen)
    cuts = _cut_points(nodes, crossing, seen, flops)
    return Anatomy(graph, logits, tuple(nodes), inputs, cuts, flops, seen)


def _operands(node: ir.Node) -> list[ir.Value]:
    return [value for position in HEAVY[node.op_type] if (value := node.inputs[position]) is not None]


def _flops(nodes: Sequence[ir.Node], seen: Probe) -> dict[ir.Node, int]:
    shapes = dict(seen.single)
    for node in nodes:
        for value in node.inputs:
            if value is not None and value.const_value is not None:
                shapes[str(value.name)] = value.const_value.numpy().shape
    return {node: node_flops(node, shapes) for node in nodes}


def _cut_points(
    nodes: Sequence[ir.Node], crossing: dict[int, tuple[str, ...]], seen: Probe, flops: dict[ir.Node, int]
) -> tuple[CutPoint, ...]:
    before = list(accumulate((flops[node] for node in nodes), initial=0))
    return tuple(
        CutPoint(position, tuple(seen.rowwise[name] for name in names), before[position])
        for position, names in crossing.items()
        if all(name in seen.rowwise for name in names)
    )
