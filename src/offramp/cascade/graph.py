"""An ONNX model as a graph of values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import onnx
import onnx_ir as ir
from onnx import inliner
from onnx.external_data_helper import load_external_data_for_model, uses_external_data

from offramp.cascade.flow import Step
from offramp.cascade.segment import CONFIDENCE, LABEL, LOGITS, PROBABILITIES, TEMPERATURE
from offramp.errors import CascadeError

__all__ = ["OnnxGraph", "read_graph", "reads"]

#: operator sets that ONNX Runtime brings
KNOWN_DOMAINS = ("", "ai.onnx", "ai.onnx.ml", "com.microsoft")
#: names every exit uses for itself
RESERVED = (LOGITS, PROBABILITIES, CONFIDENCE, LABEL, TEMPERATURE)
_RANDOM = ("RandomNormal", "RandomUniform", "Multinomial")
#: oldest operator set ONNX Runtime supports, and the oldest file version with overridable initializers
_MIN_OPSET, _IR_VERSION = 7, 8


class OnnxGraph:
    """A model, its inputs, its outputs and who reads what.

    Values that depend on initializers alone are *constant*: they never cross a cut, every segment
    that reads them gets its own copy.

    Parameters
    ----------
    model : sorted in place; values that carry a name reserved for exits are renamed
    where : the file, for messages
    """

    def __init__(self, model: ir.Model, where: str) -> None:
        self.model = model
        self.where = where
        #: the batch the file had before it was made dynamic, if it had a fixed one
        self.fixed_batch: int | None = None
        model.graph.sort()
        model.ir_version = max(model.ir_version or 0, _IR_VERSION)
        for value in [v for v in model.graph.inputs if v.is_initializer()]:
            model.graph.inputs.remove(value)
        self._constant = self._find_constants()
        self.original_name = _free_names(model.graph, RESERVED)

    @property
    def inputs(self) -> list[ir.Value]:
        """Inputs of the model, without initializers."""
        return list(self.model.graph.inputs)

    @property
    def outputs(self) -> list[ir.Value]:
        """Outputs of the model."""
        return list(self.model.graph.outputs)

    def name_of(self, value: ir.Value) -> str:
        """The name of a value in the user's file."""
        return self.original_name.get(value, str(value.name))

    def is_constant(self, value: ir.Value) -> bool:
        """Whether the value depends on initializers alone."""
        return value in self._constant or value.is_initializer()

    def nodes_for(self, outputs: Iterable[ir.Value], known: Iterable[ir.Value] = ()) -> list[ir.Node]:
        """The nodes that compute ``outputs`` from ``known`` and the inputs, constants left out, in order."""
        stop, stack, needed = set(known), list(outputs), set()
        while stack:
            value = stack.pop()
            node = value.producer()
            if value in stop or node is None or node in needed or self.is_constant(value):
                continue
            needed.add(node)
            stack.extend(reads(node))
        return [node for node in self.model.graph if node in needed]

    def steps_for(self, nodes: Sequence[ir.Node]) -> list[Step]:
        """The nodes as steps of the pure graph."""
        return [
            Step(
                tuple(dict.fromkeys(str(v.name) for v in reads(node) if not self.is_constant(v))),
                tuple(str(v.name) for v in node.outputs if v.name),
            )
            for node in nodes
        ]

    def rename_input(self, name: str) -> None:
        """Call the only input ``name``."""
        if self.inputs[0].name != name:
            _free_names(self.model.graph, [name])
            self.inputs[0].name = name

    def extract(self, inputs: Sequence[str], outputs: Sequence[str]) -> ir.Model:
        """The part between ``inputs`` and ``outputs`` as a model of its own.

        Raises
        ------
        ValueError : ``outputs`` depend on more than ``inputs`` and constants
        """
        graph = ir.convenience.extract(self.model.graph, list(inputs), list(outputs))
        return ir.Model(graph, ir_version=self.model.ir_version or _IR_VERSION, producer_name="offramp")

    def _find_constants(self) -> set[ir.Value]:
        constant = set(self.model.graph.initializers.values())
        for node in self.model.graph:
            if node.op_type not in _RANDOM and all(value in constant for value in reads(node)):
                constant.update(node.outputs)
        return constant


def reads(node: ir.Node) -> Iterator[ir.Value]:
    """Every value a node reads, also from inside its subgraphs (``If``, ``Loop``)."""
    inner = [graph for attribute in node.attributes.values() for graph in _subgraphs(attribute)]
    yield from (value for value in node.inputs if value is not None)
    for graph in inner:
        for child in ir.traversal.RecursiveGraphIterator(graph):
            yield from (v for v in child.inputs if v is not None and v.graph is node.graph)
        yield from (v for v in graph.outputs if v.graph is node.graph)


def _subgraphs(attribute: ir.Attr) -> Sequence[ir.Graph]:
    if attribute.type == ir.AttributeType.GRAPH:
        return [attribute.as_graph()]
    return attribute.as_graphs() if attribute.type == ir.AttributeType.GRAPHS else []


def _free_names(graph: ir.Graph, names: Iterable[str]) -> dict[ir.Value, str]:
    """Rename the values that carry one of ``names``; returns their old names."""
    values = ir.convenience.create_value_mapping(graph)
    renamed = {}
    for name in names:
        if (value := values.get(name)) is not None:
            new = f"{name}_inner"
            while new in values:
                new += "_"
            if value.is_initializer():
                graph.initializers.pop(name)
                value.name = new
                graph.initializers[new] = value
            else:
                value.name = new
            renamed[value] = name
    return renamed


def read_graph(path: str | Path) -> OnnxGraph:
    """Read an ONNX file, with its weights, and check that its parts are there.

    Parameters
    ----------
    path : the ``.onnx`` file; external data is looked for beside it

    Raises
    ------
    CascadeError : no such file, no ONNX model or truncated, external data missing, a custom operator,
        an operator set that is too old
    """
    file = Path(path)
    proto = _parse(file)
    _load_external(proto, file)
    proto = inliner.inline_local_functions(proto)
    opsets = {entry.domain: entry.version for entry in proto.opset_import}
    if opsets.get("", opsets.get("ai.onnx", 0)) < _MIN_OPSET:
        raise CascadeError(
            f"{file}: its operator set is older than {_MIN_OPSET}; convert it with onnx.version_converter"
        )
    for node in proto.graph.node:
        if node.domain not in KNOWN_DOMAINS:
            raise CascadeError(
                f"{file}: node {node.name or node.output[0]!r} is the custom operator "
                f"{node.domain}::{node.op_type}, which ONNX Runtime does not have; export the model without it"
            )
    return OnnxGraph(ir.serde.deserialize_model(proto), str(file))


def _parse(file: Path) -> onnx.ModelProto:
    try:
        proto = onnx.load(file, load_external_data=False)
    except FileNotFoundError as error:
        raise CascadeError(f"{file}: no such model file") from error
    except Exception as error:  # protobuf's DecodeError has no stable home
        raise CascadeError(f"{file}: not an ONNX model, or truncated ({str(error).splitlines()[0]})") from error
    if not proto.graph.node:
        raise CascadeError(f"{file}: not an ONNX model, or one without nodes")
    return proto


def _load_external(proto: onnx.ModelProto, file: Path) -> None:
    """Bring the weights in external files into the model."""
    for tensor in proto.graph.initializer:
        if not uses_external_data(tensor):
            continue
        location = next(entry.value for entry in tensor.external_data if entry.key == "location")
        if not (file.parent / location).is_file():
            raise CascadeError(
                f"{file}: the weights {tensor.name!r} lie in {location!r}, which is not beside the model; copy it there"
            )
    try:
        load_external_data_for_model(proto, str(file.parent))
    except Exception as error:  # onnx raises several, undocumented classes
        raise CascadeError(f"{file}: its external data cannot be read ({str(error).splitlines()[0]})") from error
