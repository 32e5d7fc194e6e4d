"""Running a model on random rows to see what its values really are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast, get_args

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
from numpy.typing import NDArray

from offramp.cascade.cuts import NOMINAL_SIZE
from offramp.cascade.graph import OnnxGraph
from offramp.cascade.manifest import DType, TensorSpec
from offramp.cascade.segment import session_options
from offramp.errors import CascadeError

__all__ = ["DYNAMIC_SIZES", "Probe", "input_specs", "probe", "random_rows"]

#: sizes tried for dimensions that are dynamic beside the batch
DYNAMIC_SIZES = (NOMINAL_SIZE, 48)
_ROWS = 3
_QUIET = ort.RunOptions()
_QUIET.log_severity_level = 4
Array = NDArray[Any]


@dataclass(frozen=True)
class Probe:
    """What a model's values were when it ran.

    ``rowwise`` are the values whose row i belongs to row i of the input; ``single`` is the shape of
    every value when the model ran on one row.
    """

    rowwise: dict[str, TensorSpec]
    single: dict[str, tuple[int, ...]]


def input_specs(graph: OnnxGraph) -> tuple[TensorSpec, ...]:
    """The inputs of a model as the manifest names them; dynamic dimensions are ``None``.

    Raises
    ------
    CascadeError : an input of a dtype that cascades do not know
    """
    specs = []
    for value in graph.inputs:
        dtype = "none" if value.dtype is None else value.dtype.numpy().name
        if dtype not in get_args(DType):
            raise CascadeError(
                f"{graph.where}: input {graph.name_of(value)!r} is {dtype}, "
                f"but a cascade takes {', '.join(get_args(DType))}"
            )
        shape = tuple(size if isinstance(size, int) else None for size in value.shape or ())
        specs.append(TensorSpec(name=str(value.name), dtype=cast(DType, dtype), shape=(None, *shape[1:])))
    return tuple(specs)


def random_rows(
    specs: Sequence[TensorSpec], rows: int, seed: int = 0, dynamic: int = DYNAMIC_SIZES[0]
) -> dict[str, Array]:
    """Random rows for every input: bytes 0..255, floats from a normal, other integers 0 or 1.

    Examples
    --------
    >>> spec = TensorSpec(name="x", dtype="uint8", shape=(None, 2, None))
    >>> random_rows([spec], 3, dynamic=4)["x"].shape
    (3, 2, 4)
    """
    rng = np.random.default_rng(seed)
    made: dict[str, Array] = {}
    for spec in specs:
        shape = (rows, *(dynamic if size is None else size for size in spec.row_shape))
        if spec.dtype == "uint8":
            made[spec.name] = rng.integers(0, 256, shape, np.uint8)
        elif spec.dtype in ("float32", "float16"):
            made[spec.name] = rng.normal(0, 1, shape).astype(spec.dtype)
        else:
            made[spec.name] = rng.integers(0, 2, shape).astype(spec.dtype)
    return made


def probe(graph: OnnxGraph, names: Sequence[str]) -> Probe:
    """What the named values are, and whether each of their rows belongs to one row of the input.

    The model is run on three random rows, on the last of them alone, and, where it has dynamic
    dimensions, on another size of these. A value whose first dimension is not the batch, or whose
    row changes with its neighbours, is not ``rowwise``: survivors of an exit cannot be gathered from it.

    Raises
    ------
    CascadeError : ONNX Runtime does not have an operator of it, or it does not run for any batch
    """
    inputs = input_specs(graph)
    session = _session(graph, names)
    shown = [output.name for output in session.get_outputs()]
    three = random_rows(inputs, _ROWS)
    one = {name: array[-1:] for name, array in three.items()}
    alone = dict(zip(shown, _run(graph, session, shown, one), strict=True))
    together = dict(zip(shown, _run(graph, session, shown, three), strict=True))
    other = together
    if any(None in spec.row_shape for spec in inputs):
        longer = random_rows(inputs, _ROWS, dynamic=DYNAMIC_SIZES[1])
        other = dict(zip(shown, _run(graph, session, shown, longer), strict=True))
    rowwise = {
        name: _spec(name, together[name], other[name])
        for name in names
        if _is_rowwise(together[name], alone[name]) and together[name].ndim == other[name].ndim
    }
    return Probe(rowwise, {name: array.shape for name, array in alone.items() if isinstance(array, np.ndarray)})


def with_outputs(graph: OnnxGraph, names: Sequence[str]) -> bytes:
    """The model, serialised, with further values among its outputs."""
    proto: onnx.ModelProto = ir.serde.serialize_model(graph.model)
    present = {output.name for output in proto.graph.output}
    for name in dict.fromkeys(names):
        if name not in present:
            proto.graph.output.append(onnx.ValueInfoProto(name=name))
    return bytes(proto.SerializeToString())


def _session(graph: OnnxGraph, names: Sequence[str]) -> ort.InferenceSession:
    try:
        return ort.InferenceSession(with_outputs(graph, names), session_options(), providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises its own, undocumented classes
        if graph.fixed_batch is not None and _loads(graph.where):
            raise _batch_stays(graph, error) from error
        raise CascadeError(
            f"{graph.where}: ONNX Runtime cannot load it ({_first_line(error)}); "
            "export it with operators that ONNX Runtime has"
        ) from error


def _batch_stays(graph: OnnxGraph, error: Exception) -> CascadeError:
    return CascadeError(
        f"{graph.where}: its fixed batch of {graph.fixed_batch} cannot be made dynamic "
        f"({_first_line(error)}); export it with a dynamic batch"
    )


def _loads(file: str) -> bool:
    """Whether the user's own file can be loaded."""
    try:
        ort.InferenceSession(file, session_options(), providers=["CPUExecutionProvider"])
    except Exception:  # onnxruntime raises its own, undocumented classes
        return False
    return True


def _run(graph: OnnxGraph, session: ort.InferenceSession, names: list[str], feed: dict[str, Array]) -> list[Array]:
    try:
        return cast("list[Array]", session.run(names, feed, _QUIET))
    except Exception as error:  # onnxruntime raises its own, undocumented classes
        if graph.fixed_batch is not None:
            raise _batch_stays(graph, error) from error
        shapes = ", ".join(f"{name} {array.shape}" for name, array in feed.items())
        raise CascadeError(
            f"{graph.where}: it does not run on {shapes} ({_first_line(error)}); "
            "export it so that it takes any number of rows, and fix other dynamic dimensions "
            "with onnxruntime.tools.make_dynamic_shape_fixed"
        ) from error


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]


def _is_rowwise(together: Array, alone: Array) -> bool:
    if not isinstance(together, np.ndarray) or together.dtype.name not in get_args(DType):
        return False
    if together.ndim == 0 or len(together) != _ROWS or alone.shape != (1, *together.shape[1:]):
        return False
    if together.dtype.kind != "f":
        return bool(np.mean(together[-1:] != alone) <= 0.01)
    scale = float(np.abs(alone.astype(np.float64)).max(initial=0.0))
    return bool(np.allclose(together[-1:], alone, rtol=0, atol=1e-2 * scale + 1e-12, equal_nan=True))


def _spec(name: str, array: Array, other: Array) -> TensorSpec:
    row = tuple(a if a == b else None for a, b in zip(array.shape[1:], other.shape[1:], strict=True))
    return TensorSpec(name=name, dtype=cast(DType, array.dtype.name), shape=(None, *row))
