"""What a 1-bit segment computes, as a file for the packed kernels."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from offramp.errors import CascadeError

__all__ = ["LAYOUT", "Program", "Step"]

#: name of the layout; the first bytes of a file
LAYOUT = "offramp-kernel-1"
_MAGIC = LAYOUT.encode() + b"\n"
_LENGTH = 4
_MOST_HEADER = 1 << 20

Array = NDArray[np.float32]
Kind = Literal["pixels", "grid", "binary", "sign"]


@dataclass(frozen=True)
class Step:
    """One step: its kind, numbers, and float32 arrays by name; weights of -1 and 1 take a bit each in the file.

    ``pixels``: factor and offset per channel; ``grid``, ``binary``: a convolution, with ``added`` what is added to it,
    ``input`` what it reads: the step's index, -1 for what comes in; ``sign``: a threshold per channel.
    """

    kind: Kind
    arrays: Mapping[str, Array]
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Program:
    """Steps from what a segment is handed to what it hands over, and its exit as an ONNX file.

    Every step reads the one before, unless its ``numbers`` say otherwise.
    """

    steps: Sequence[Step]
    head: bytes

    def to_bytes(self) -> bytes:
        """The content of the file."""
        body = bytearray()
        steps = []
        for step in self.steps:
            arrays = {name: _stored(np.asarray(array, np.float32), body) for name, array in sorted(step.arrays.items())}
            steps.append(
                {
                    "kind": step.kind,
                    "arrays": arrays,
                    "numbers": {name: float(value) for name, value in step.numbers.items()},
                }
            )
        header = {"steps": steps, "body_bytes": len(body), "head_bytes": len(self.head)}
        text = json.dumps(header, sort_keys=True, separators=(",", ":")).encode()
        return _MAGIC + len(text).to_bytes(_LENGTH, "little") + text + bytes(body) + self.head

    @classmethod
    def from_bytes(cls, content: bytes, where: str = "the kernel file") -> Program:
        """Read a file.

        Raises
        ------
        CascadeError : another layout, truncated, or damaged
        """
        if not content.startswith(_MAGIC):
            found = content[:32].partition(b"\n")[0].decode(errors="replace")
            raise CascadeError(f"{where}: layout {found!r} is not {LAYOUT!r}; build the cascade again")
        begin = len(_MAGIC) + _LENGTH
        length = int.from_bytes(content[len(_MAGIC) : begin], "little")
        try:
            header = _Header.model_validate_json(content[begin : begin + min(length, _MOST_HEADER)])
            body = content[begin + length :]
            if len(body) != header.body_bytes + header.head_bytes:
                raise ValueError(
                    f"{len(body)} bytes behind the header, {header.body_bytes + header.head_bytes} expected"
                )
            steps = [_step(step, memoryview(body)[: header.body_bytes]) for step in header.steps]
        except (ValidationError, ValueError) as error:
            said = str(error).splitlines()[0]
            raise CascadeError(f"{where}: truncated or damaged ({said}); build or copy the cascade again") from error
        return cls(steps, body[header.body_bytes :])


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _ArraySpec(_Value):
    shape: tuple[int, ...]
    bits: Literal[1, 32]
    begin: int = Field(ge=0)


class _StepSpec(_Value):
    kind: Kind
    arrays: dict[str, _ArraySpec]
    numbers: dict[str, float]


class _Header(_Value):
    steps: tuple[_StepSpec, ...]
    body_bytes: int = Field(ge=0)
    head_bytes: int = Field(ge=0)


def _stored(array: Array, body: bytearray) -> dict[str, Any]:
    binary = bool(array.size) and bool((np.abs(array) == 1).all())
    spec = {"shape": list(array.shape), "bits": 1 if binary else 32, "begin": len(body)}
    body += np.packbits(array.reshape(-1) > 0).tobytes() if binary else array.astype("<f4").tobytes()
    return spec


def _step(spec: _StepSpec, body: memoryview) -> Step:
    return Step(spec.kind, {name: _array(each, body) for name, each in spec.arrays.items()}, spec.numbers)


def _array(spec: _ArraySpec, body: memoryview) -> Array:
    count = math.prod(spec.shape)
    part = body[spec.begin : spec.begin + (count * spec.bits + 7) // 8]
    if min(spec.shape, default=1) < 0 or len(part) != (count * spec.bits + 7) // 8:
        raise ValueError(f"an array of shape {spec.shape} does not fit")
    if spec.bits == 32:
        return np.frombuffer(part, "<f4").reshape(spec.shape).astype(np.float32)
    bits = np.unpackbits(np.frombuffer(part, np.uint8))[:count]
    return np.where(bits, np.float32(1), np.float32(-1)).reshape(spec.shape)
