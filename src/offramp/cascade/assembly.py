"""The segments of a dissected model, as ONNX files."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from offramp.cascade.anatomy import Anatomy
from offramp.cascade.cuts import CutPoint
from offramp.cascade.exits_onnx import append_exit
from offramp.cascade.manifest import ExitSpec, SegmentSpec, TensorSpec
from offramp.errors import CascadeError, ConfigError

__all__ = ["ExitPoint", "SegmentFile", "assemble", "place_exits"]


@dataclass(frozen=True, slots=True)
class ExitPoint:
    """An exit's name, its logits, and how many operations of the main path come before it."""

    name: str
    logits: ir.Value
    earliest: int


@dataclass(frozen=True, slots=True)
class SegmentFile:
    """One segment: its entry in the manifest and the content of its file."""

    spec: SegmentSpec
    content: bytes


def place_exits(anatomy: Anatomy, exits: Mapping[str, ir.Value]) -> dict[CutPoint, ExitPoint]:
    """The cut each early exit sits before: the first valid one behind all it reads.

    Raises
    ------
    CascadeError : no valid cut follows an exit, or two exits share one
    """
    placed: dict[CutPoint, ExitPoint] = {}
    for name, logits in exits.items():
        earliest = anatomy.earliest(logits)
        cut = next((cut for cut in anatomy.cuts if cut.index >= earliest), None)
        if cut is None:
            raise CascadeError(
                f"{anatomy.graph.where}: no valid cut follows what exit {name!r} reads; allow more crossing tensors"
            )
        if cut in placed:
            raise CascadeError(
                f"{anatomy.graph.where}: the exits {placed[cut].name!r} and {name!r} "
                f"both end the segment before {cut.name!r}; keep one of them"
            )
        placed[cut] = ExitPoint(name, logits, earliest)
    return placed


def assemble(
    anatomy: Anatomy,
    cuts: Sequence[CutPoint],
    exits: Mapping[CutPoint, ExitPoint],
    final: str,
    classes: int,
    first: int = 0,
) -> list[SegmentFile]:
    """Write one ONNX model per segment.

    Parameters
    ----------
    anatomy : of the whole model
    cuts : in order; none makes one segment
    exits : the early exits, by the cut they sit before; their cuts must be in ``cuts``
    final : name of the last exit
    classes : K
    first : index of the first segment, for the file names

    Raises
    ------
    ConfigError : an early exit reads tensors of several segments
    """
    files: list[SegmentFile] = []
    inputs = anatomy.inputs
    begin = 0
    ends = [*cuts, None]
    for index, cut in enumerate(ends, start=first):
        outputs = () if cut is None else cut.tensors
        point = ExitPoint(final, anatomy.logits, len(anatomy.nodes)) if cut is None else exits.get(cut)
        content = _segment(anatomy, inputs, outputs, point, classes)
        end = len(anatomy.nodes) if cut is None else cut.index
        spec = SegmentSpec(
            file=f"segment-{index:02d}.onnx",
            sha256=hashlib.sha256(content).hexdigest(),
            file_bytes=len(content),
            inputs=inputs,
            outputs=outputs,
            exit=None if point is None else ExitSpec(name=point.name, module=anatomy.graph.name_of(point.logits)),
            flops=_segment_flops(anatomy, begin, end, point),
        )
        files.append(SegmentFile(spec, content))
        inputs, begin = outputs, end
    return files


def _segment(
    anatomy: Anatomy,
    inputs: Sequence[TensorSpec],
    outputs: Sequence[TensorSpec],
    point: ExitPoint | None,
    classes: int,
) -> bytes:
    names = [spec.name for spec in outputs]
    wanted = names if point is None else [*names, str(point.logits.name)]
    try:
        model = anatomy.graph.extract([spec.name for spec in inputs], wanted)
    except ValueError as error:
        assert point is not None  # the cut itself is valid
        raise ConfigError(
            f"{anatomy.graph.where}: exit {point.name!r} reads tensors of several segments; "
            "cut where all it reads crosses, or in fewer places"
        ) from error
    graph = model.graph
    exit_specs = [] if point is None else [anatomy.probe.rowwise[str(point.logits.name)]]
    for value, spec in zip([*graph.inputs, *graph.outputs], [*inputs, *outputs, *exit_specs], strict=True):
        value.type = ir.TensorType(ir.DataType.from_numpy(np.dtype(spec.dtype)))
        value.shape = ir.Shape(["batch", *(f"dim{i}" if n is None else n for i, n in enumerate(spec.row_shape, 1))])
    if point is not None:
        append_exit(graph, graph.outputs.pop(), classes)
    return bytes(ir.serde.serialize_model(model).SerializeToString())


def _segment_flops(anatomy: Anatomy, begin: int, end: int, point: ExitPoint | None) -> int | None:
    if not anatomy.has_fixed_rows:
        return None
    side = [] if point is None else anatomy.side_nodes(point.logits)
    return sum(anatomy.flops[node] for node in (*anatomy.nodes[begin:end], *side))
