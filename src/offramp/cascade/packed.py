"""Low-bit weights at their true size inside an ONNX file.

A few-valued weight is stored as a stream of bits and unpacked by a handful of standard operators in front of its
convolution. They depend on constants alone, so a runtime that folds constants (ONNX Runtime does while it loads)
makes the full size in memory, once, and computes with exactly the values that were packed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.onnx_extra import require_onnx
from offramp.cascade.segment import TEMPERATURE
from offramp.errors import CascadeError

if TYPE_CHECKING:
    import onnx

__all__ = ["LAYOUT", "BitGrid", "bit_grid", "pack_bits", "pack_weights", "packed_bits_of", "unpack_bits"]

#: name of the layout, in the metadata of a packed file and in the manifest
LAYOUT = "bits-1"
_METADATA = "offramp.packed"
_BITS = (1, 2, 4, 8)
#: the operator set that knows all operators an unpacking takes
_OPSET = 18

Array = NDArray[Any]


@dataclass(frozen=True)
class BitGrid:
    """Values ``lowest + step * index`` with indices below ``2^bits``."""

    bits: int
    lowest: float
    step: float


def bit_grid(values: Array) -> BitGrid | None:
    """The grid of the fewest bits (1, 2, 4 or 8) that holds whole numbers; ``None`` where there is none.

    Examples
    --------
    >>> bit_grid(np.array([-1.0, 1.0, 1.0])), bit_grid(np.array([0.5, 1.0])), bit_grid(np.array([-3.0, 0.0, 4.0])).bits
    (BitGrid(bits=1, lowest=-1.0, step=2.0), None, 4)
    """
    found = np.unique(values)
    if not len(found) or not np.isfinite(found).all() or (found != np.rint(found)).any() or len(found) > 256:
        return None
    lowest = float(found[0])
    step = float(np.gcd.reduce((found - lowest).astype(np.int64))) or 1.0
    highest = (float(found[-1]) - lowest) / step
    bits = next((k for k in _BITS if highest < 2**k), None)
    return None if bits is None else BitGrid(bits, lowest, step)


def pack_bits(indices: Array, bits: int) -> NDArray[np.uint8]:
    """Indices below ``2^bits``, in C order, ``8 / bits`` a byte, the first in the lowest bits.

    Examples
    --------
    >>> pack_bits(np.array([1, 0, 1, 1, 0, 0, 0, 0, 1]), 1).tolist(), pack_bits(np.array([3, 10]), 4).tolist()
    ([13, 1], [163])
    """
    share = 8 // bits
    flat = np.zeros(-(-indices.size // share) * share, np.uint8)
    flat[: indices.size] = indices.reshape(-1)
    shifts = (np.arange(share) * bits).astype(np.uint8)
    packed: NDArray[np.uint8] = np.bitwise_or.reduce(flat.reshape(-1, share) << shifts, axis=1).astype(np.uint8)
    return packed


def unpack_bits(packed: Array, bits: int, count: int) -> NDArray[np.uint8]:
    """The first ``count`` indices; the inverse of `pack_bits`.

    Examples
    --------
    >>> unpack_bits(np.array([13, 1], np.uint8), 1, 9).tolist()
    [1, 0, 1, 1, 0, 0, 0, 0, 1]
    """
    shifts = (np.arange(8 // bits) * bits).astype(np.uint8)
    indices: NDArray[np.uint8] = ((packed[:, None] >> shifts) & np.uint8(2**bits - 1)).reshape(-1)[:count]
    return indices


def pack_weights(content: bytes) -> bytes:
    """The ONNX file with every convolution's weight that fits a `bit_grid` packed; others stay as they are.

    Parameters
    ----------
    content : an ONNX file with its weights inside

    Raises
    ------
    ConfigError : onnx is not installed
    """
    require_onnx()
    import onnx
    from onnx import numpy_helper

    model = onnx.load_from_string(content)
    graph = model.graph
    weights = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    nodes: list[onnx.NodeProto] = []
    total = 0
    for tensor in [each for each in graph.initializer if each.name in weights]:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or (grid := bit_grid(values)) is None:
            continue
        graph.initializer.remove(tensor)
        nodes += _unpacking(graph, tensor.name, values, grid, len(nodes))
        total += values.size
    if not total:
        return content
    for node in reversed(nodes):
        graph.node.insert(0, node)
    _require_opset(model)
    _shorten(graph)
    model.metadata_props.append(onnx.StringStringEntryProto(key=_METADATA, value=LAYOUT))
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString(deterministic=True))


def packed_bits_of(content: bytes) -> dict[str, int]:
    """Bits of every packed weight of an ONNX file, by name; empty where nothing is packed.

    Raises
    ------
    ConfigError : onnx is not installed
    CascadeError : the file is damaged, or packed in another layout
    """
    require_onnx()
    import onnx

    try:
        model = onnx.load_from_string(content)
    except Exception as error:  # protobuf raises its own classes
        raise CascadeError("the packed file is damaged or no ONNX file; build or copy the cascade again") from error
    layout = next((entry.value for entry in model.metadata_props if entry.key == _METADATA), LAYOUT)
    if layout != LAYOUT:
        raise CascadeError(f"the file is packed in layout {layout!r}, this offramp reads {LAYOUT!r}; upgrade offramp")
    found = {}
    for tensor in model.graph.initializer:
        name, _, bits = tensor.name.rpartition(".packed")
        if name and bits.isdecimal():
            found[name] = int(bits)
    return found


def _unpacking(graph: onnx.GraphProto, name: str, values: Array, grid: BitGrid, at: int) -> list[onnx.NodeProto]:
    from onnx import TensorProto, helper

    packed = pack_bits(np.rint((values - grid.lowest) / grid.step).astype(np.uint8), grid.bits)
    source = f"{name}.packed{grid.bits}"
    _constant(graph, source, packed[:, None])
    nodes, last = [], source
    if grid.bits < 8:
        shifts = (np.arange(8 // grid.bits) * grid.bits).astype(np.uint8)[None]
        _constant(graph, f"shifts{grid.bits}", shifts)
        _constant(graph, f"mask{grid.bits}", np.array(2**grid.bits - 1, np.uint8))
        nodes += [
            helper.make_node("BitShift", [last, f"shifts{grid.bits}"], [f"u{at}a"], direction="RIGHT"),
            helper.make_node("BitwiseAnd", [f"u{at}a", f"mask{grid.bits}"], [f"u{at}b"]),
        ]
        last = f"u{at}b"
    for key, value in (("step", grid.step), ("lowest", grid.lowest)):
        _constant(graph, f"{key}{value:g}", np.array(value, np.float32))
    nodes += [
        helper.make_node("Cast", [last], [f"u{at}c"], to=TensorProto.FLOAT),
        helper.make_node("Mul", [f"u{at}c", f"step{grid.step:g}"], [f"u{at}d"]),
        helper.make_node("Add", [f"u{at}d", f"lowest{grid.lowest:g}"], [f"u{at}e"]),
    ]
    last = f"u{at}e"
    if packed.size * (8 // grid.bits) != values.size:
        for key, number in (("flat", -1), ("from", 0), (f"to{values.size}", values.size)):
            _constant(graph, f"u.{key}", np.array([number], np.int64))
        nodes += [
            helper.make_node("Reshape", [last, "u.flat"], [f"u{at}f"]),
            helper.make_node("Slice", [f"u{at}f", "u.from", f"u.to{values.size}"], [f"u{at}g"]),
        ]
        last = f"u{at}g"
    shape = "u.shape" + "x".join(map(str, values.shape))
    _constant(graph, shape, np.array(values.shape, np.int64))
    return [*nodes, helper.make_node("Reshape", [last, shape], [name])]


def _shorten(graph: onnx.GraphProto) -> None:
    """Names that nobody asks for take more bytes than binary weights: give values inside the graph short ones."""
    kept = {value.name for value in (*graph.input, *graph.output)}
    kept |= {tensor.name for tensor in graph.initializer if ".packed" in tensor.name}
    outside = {output.name for output in graph.output}
    inside = [name for node in graph.node for name in node.output if name and name not in outside]
    inside += [tensor.name for tensor in graph.initializer if tensor.name not in kept and tensor.name != TEMPERATURE]
    short = {name: f"v{index:x}" for index, name in enumerate(inside) if name not in kept}
    for tensor in graph.initializer:
        tensor.name = short.get(tensor.name, tensor.name)
    for node in graph.node:
        node.name = ""
        for names in (node.input, node.output):
            names[:] = [short.get(name, name) for name in names]
    del graph.value_info[:]


def _constant(graph: onnx.GraphProto, name: str, value: Array) -> None:
    from onnx import numpy_helper

    if all(tensor.name != name for tensor in graph.initializer):
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))


def _require_opset(model: onnx.ModelProto) -> None:
    for entry in model.opset_import:
        if entry.domain in ("", "ai.onnx") and entry.version < _OPSET:
            raise CascadeError(f"the file is of operator set {entry.version}; packing needs {_OPSET} or later")
