"""A 1-bit segment on the packed kernels, in the place of its ONNX file."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from offramp.cascade.kernels.binary_conv import BinaryConv, GridConv
from offramp.cascade.kernels.chain import Chain, Link
from offramp.cascade.kernels.program import Program, Step
from offramp.cascade.manifest import SegmentSpec
from offramp.cascade.segment import TEMPERATURE, Segment, session_options
from offramp.errors import CascadeError

__all__ = ["HEAD_INPUT", "KernelSegment", "KernelSession"]

#: what the exit's ONNX file takes
HEAD_INPUT = "features"

Array = NDArray[Any]
Floats = NDArray[np.float32]


class KernelSession:
    """Runs a program as an ONNX Runtime session runs a segment: names of outputs and a feed, to arrays.

    Rows are computed one by one, on one thread.

    Parameters
    ----------
    program : of the segment
    spec : what the manifest says of it

    Raises
    ------
    CascadeError : the exit in the program cannot be loaded
    ConfigError : no kernels on this machine, see `offramp.cascade.kernels.compiling.kernels`
    """

    def __init__(self, program: Program, spec: SegmentSpec) -> None:
        self._row = _compiled(program.steps)
        self._input, self._output = spec.inputs[0], spec.outputs[0]
        try:
            self._head = ort.InferenceSession(program.head, session_options(), providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime raises its own, undocumented classes
            raise CascadeError("the exit in the kernel file cannot be loaded; build the cascade again") from error

    def run(self, names: Sequence[str], feed: Mapping[str, Array]) -> list[Array]:
        """The named outputs, in order."""
        features = self._features(feed[self._input.name])
        of_head = [name for name in names if name != self._output.name]
        rest = {TEMPERATURE: feed[TEMPERATURE]} if TEMPERATURE in feed else {}
        found = iter(self._head.run(of_head, {HEAD_INPUT: features, **rest}) if of_head else ())
        return [features if name == self._output.name else next(found) for name in names]

    def _features(self, rows: Array) -> Floats:
        pixels = self._input.dtype == "uint8"
        by_pixel = rows if pixels else np.ascontiguousarray(rows.transpose(0, 2, 3, 1))
        found = [self._row(row) for row in by_pixel]
        if not found:
            return np.zeros((0, *(size or 0 for size in self._output.row_shape)), np.float32)
        return np.ascontiguousarray(np.stack(found).transpose(0, 3, 1, 2))


class KernelSegment(Segment):
    """As `Segment`, the same bits in what it hands over, with its convolutions on packed bits.

    Parameters
    ----------
    path : the segment's ONNX file
    program_path : the file for the kernels
    spec : what the manifest says of it

    Raises
    ------
    CascadeError : the program is damaged or of another layout
    ConfigError : no kernels on this machine, see `offramp.cascade.kernels.compiling.kernels`
    """

    def __init__(self, path: Path, program_path: Path, spec: SegmentSpec) -> None:
        self.spec, self.path = spec, path
        self.session = KernelSession(Program.from_bytes(program_path.read_bytes(), str(program_path)), spec)
        self._names_from_spec()

    def __repr__(self) -> str:
        return f"Kernel{super().__repr__()}"


def _compiled(steps: Sequence[Step]) -> Callable[[Array], Floats]:
    """A row (H, W, C) to what the last step gives; the convolutions in between are one call."""
    before = [step for step in steps if step.kind == "pixels"]
    middle = [step for step in steps if step.kind in ("grid", "binary")]
    after = [step for step in steps if step.kind == "sign"]
    if [*before, *middle, *after] != list(steps) or len(before) > 1 or len(after) > 1:
        raise CascadeError("a kernel file: steps in an order that no segment has; build the cascade again")
    chain = Chain([_link(step, len(before)) for step in middle])
    pixels = before[0].arrays if before else None
    threshold, one = after[0].arrays["threshold"] if after else None, np.float32(1)

    def run(row: Array) -> Floats:
        if pixels is not None:
            row = row.astype(np.float32) * pixels["factor"] + pixels["offset"]
        features = chain(row)
        return features if threshold is None else np.where(features >= threshold, one, -one)

    return run


def _link(step: Step, before: int) -> Link:
    """Indices in a program count all steps, in a chain the convolutions alone."""
    a, n = step.arrays, step.numbers
    source, added = int(n["input"]) - before, n.get("added")
    leak, stride = n["leak"], int(n["stride"])
    if step.kind == "grid":
        grid = GridConv(a["weight"], int(n["grid_bits"]), a.get("bias"), a.get("factor"), a.get("shift"), leak, stride)
        return Link(grid, source)
    binary = BinaryConv(a["weight"], a["threshold"], a["scale"], a["factor"], a["shift"], leak, stride)
    return Link(binary, source, None if added is None else int(added) - before)
