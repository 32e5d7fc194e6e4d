"""The tail from a cut as one plain ONNX model, checked against the chain of segments."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from offramp.cascade.probe import random_rows
from offramp.cascade.segment import LOGITS, PROBABILITIES, TEMPERATURE, session_options
from offramp.cascade.store import Cascade
from offramp.cascade.tail import require_tail
from offramp.errors import CascadeError

__all__ = ["TOLERANCE", "tail_difference", "tail_model"]

Array = NDArray[Any]

#: how far the outputs of a tail may lie from those of the chain, relative to the largest of them
TOLERANCE = 1e-5


def tail_model(cascade: Cascade, cut: int, precision: str = "fp32") -> bytes:
    """The network behind a cut: takes the tensors that cross there, gives the last exit's logits and probabilities.

    Early exits are left out; the last exit's calibrated temperature is part of the model. What any ONNX runtime
    serves, so a model server can be the upper tier.

    Parameters
    ----------
    cascade : the opened cascade
    cut : where the tail begins; 0 is the whole network
    precision : a plan's, such as ``fp32`` or ``int8:2``

    Returns
    -------
    bytes : an ONNX file with the inputs ``manifest.tensors_at(cut)`` and the outputs ``logits`` and
        ``probabilities``, (n, K) float32 each

    Raises
    ------
    ConfigError : there is no such tail
    CascadeError : the segments do not fit into one model
    """
    segments = require_tail(cascade.manifest, cut)
    temperature = cascade.manifest.calibration.temperatures[-1]
    parts = [_part(cascade, index, precision, temperature) for index in segments]
    opsets = [dict(part.opset_imports) for part in parts]
    if any(opset != opsets[0] for opset in opsets):
        raise CascadeError(
            f"{cascade.path}: the segments {segments.start} to {segments.stop - 1} use several operator sets "
            "and do not fit into one model; import the cascade again from one ONNX file"
        )
    model = ir.Model(_joined(parts, segments.start), ir_version=max(part.ir_version or 0 for part in parts))
    model.graph.name = cascade.name
    model.producer_name = "offramp"
    proto = ir.to_proto(model)
    onnx.checker.check_model(proto)
    return bytes(proto.SerializeToString())


def _part(cascade: Cascade, index: int, precision: str, temperature: float) -> ir.Model:
    """One segment without its exit; the last one with nothing but it."""
    manifest = cascade.manifest
    spec = manifest.segments[index]
    model = ir.load(cascade.segment_file(index, precision))
    last = index == len(manifest.segments) - 1
    if last:
        value = next(v for v in model.graph.inputs if v.name == TEMPERATURE)
        model.graph.inputs.remove(value)
        value.const_value = ir.tensor(np.array(temperature, np.float32), name=TEMPERATURE)
    outputs = [LOGITS, PROBABILITIES] if last else [tensor.name for tensor in spec.outputs]
    graph = ir.convenience.extract(model.graph, [tensor.name for tensor in spec.inputs], outputs)
    return ir.Model(graph, ir_version=model.ir_version)


def _joined(parts: list[ir.Model], first: int) -> ir.Graph:
    """One graph after the other; names are made unique by the number of their segment."""
    nodes: list[ir.Node] = []
    initializers: list[ir.Value] = []
    inputs = list(parts[0].graph.inputs)
    crossing: list[ir.Value] = []
    for number, part in enumerate(parts):
        graph = part.graph
        mine, given, last = list(graph.inputs), crossing, number == len(parts) - 1
        crossing = list(graph.outputs)
        _rename(graph, f"segment{first + number}/", keep={*inputs, *(crossing if last else ())})
        graph.inputs.clear()
        graph.outputs.clear()
        if number:
            ir.convenience.replace_all_uses_with(mine, given)
            passed_on = dict(zip(mine, given, strict=True))
            crossing = [passed_on.get(value, value) for value in crossing]
        initializers += graph.initializers.values()
        graph.initializers.clear()
        nodes += graph
        graph.remove(list(graph))
    return ir.Graph(inputs, crossing, nodes=nodes, initializers=initializers, opset_imports=parts[0].opset_imports)


def _rename(graph: ir.Graph, prefix: str, keep: set[ir.Value]) -> None:
    for value in list(graph.initializers.values()):
        del graph.initializers[str(value.name)]
        value.name = f"{prefix}{value.name}"
        graph.initializers[value.name] = value
    for node in ir.traversal.RecursiveGraphIterator(graph):
        node.name = f"{prefix}{node.name}" if node.name else node.name
        for value in node.outputs:
            if value.name and value not in keep:
                value.name = f"{prefix}{value.name}"


def tail_difference(cascade: Cascade, cut: int, model: bytes, precision: str = "fp32", rows: int = 8) -> float:
    """Largest difference between the outputs of a tail and those of the chain, on random rows that came to the cut.

    Relative to the largest value of each output.

    Raises
    ------
    CascadeError : it is above `TOLERANCE`, or ONNX Runtime cannot load the model
    """
    manifest = cascade.manifest
    segments = cascade.load_segments(precision=precision)
    sample = tuple(random_rows(manifest.inputs, rows, seed=1).values())
    tensors, at_cut = sample, sample
    for index, segment in enumerate(segments):
        at_cut = tensors if index == cut else at_cut
        handed = sample if manifest.segments[index].hand_over == "input" else segment.run_with_logits(tensors)[0]
        if index < len(segments) - 1:
            tensors = handed
    expected = segments[-1].run(tensors, manifest.calibration.temperatures[-1]).probabilities
    logits = segments[-1].run_with_logits(tensors)[1]
    names = [tensor.name for tensor in manifest.tensors_at(cut)]
    try:
        session = ort.InferenceSession(model, session_options(), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own, undocumented classes
        raise CascadeError(
            f"{cascade.path}: the tail from cut {cut} cannot be loaded ({str(error).splitlines()[0]})"
        ) from error
    found = session.run([LOGITS, PROBABILITIES], dict(zip(names, at_cut, strict=True)))
    worst = 0.0
    for ours, theirs in zip(found, (logits, expected), strict=True):
        assert theirs is not None
        worst = max(worst, float(np.abs(ours - theirs).max() / max(1.0, float(np.abs(theirs).max()))))
    if not worst <= TOLERANCE:
        raise CascadeError(
            f"{cascade.path}: the tail from cut {cut} differs from the chain by {worst:.3g}, above {TOLERANCE:g}; "
            "import or build the cascade again"
        )
    return worst
