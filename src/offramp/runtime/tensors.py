"""Tensors as Open Inference Protocol messages carry them: checked before a byte is read."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.manifest import TensorSpec
from offramp.codecs.base import Codec, expected_bytes
from offramp.codecs.registry import get_codec
from offramp.errors import SampleError
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb

__all__ = [
    "DATATYPES",
    "ON_THE_WIRE",
    "check_shape",
    "codec_named",
    "decode_bytes_rows",
    "encode_bytes_rows",
    "require_finite",
    "typed_contents",
]

Array = NDArray[Any]

#: numpy dtype name -> datatype on the wire
DATATYPES = {
    "float32": "FP32",
    "float16": "FP16",
    "uint8": "UINT8",
    "int8": "INT8",
    "int32": "INT32",
    "int64": "INT64",
    "bool": "BOOL",
}

#: datatype -> the field of typed contents it may come in
_TYPED = {
    "FP32": "fp32_contents",
    "INT64": "int64_contents",
    "INT32": "int_contents",
    "INT8": "int_contents",
    "UINT8": "uint_contents",
    "BOOL": "bool_contents",
}


#: numpy dtype name -> how its values travel
ON_THE_WIRE = {name: np.dtype(name).newbyteorder("<") for name in DATATYPES}


@cache
def codec_named(name: str) -> Codec:
    """The codec, looked up once.

    Raises
    ------
    ConfigError : no such codec
    """
    return get_codec(name)


def check_shape(spec: TensorSpec, shape: Sequence[int], max_bytes: int) -> None:
    """Check a shape against the manifest, and that the tensor is of bearable size.

    Raises
    ------
    SampleError : another number of dimensions, or a fixed dimension differs
    PayloadTooLarge : more than ``max_bytes``
    """
    fits = len(shape) == len(spec.shape) and all(
        size > 0 and (wanted is None or size == wanted) for size, wanted in zip(shape, spec.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("n" if size is None else str(size) for size in spec.shape)
        raise SampleError(f"tensor {spec.name!r} must have the shape ({wanted}), not {tuple(shape)}")
    expected_bytes(spec.dtype, shape, max_bytes)


def require_finite(name: str, array: Array) -> None:
    """Refuse NaN and infinity in a tensor of floats.

    Raises
    ------
    SampleError : naming the first row that holds one

    Examples
    --------
    >>> require_finite("x", np.array([[0.0], [np.nan]], np.float32))
    Traceback (most recent call last):
        ...
    offramp.errors.SampleError: tensor 'x' holds NaN or infinity in row 1; send finite values only
    """
    if array.dtype.kind != "f":
        return
    finite = np.isfinite(array)
    if not finite.all():
        row = int(np.argmin(finite.reshape(len(array), -1).all(axis=1)))
        raise SampleError(f"tensor {name!r} holds NaN or infinity in row {row}; send finite values only")


def encode_bytes_rows(rows: Sequence[str]) -> bytes:
    """A BYTES tensor: each element is a little-endian uint32 length and that many bytes.

    Examples
    --------
    >>> encode_bytes_rows(["ab", ""])
    b'\\x02\\x00\\x00\\x00ab\\x00\\x00\\x00\\x00'
    """
    parts = []
    for row in rows:
        data = row.encode()
        parts.append(len(data).to_bytes(4, "little") + data)
    return b"".join(parts)


def decode_bytes_rows(data: bytes, rows: int) -> list[str]:
    """The strings of a BYTES tensor with ``rows`` elements.

    Raises
    ------
    SampleError : another number of elements, a length beyond the end, or no UTF-8

    Examples
    --------
    >>> decode_bytes_rows(encode_bytes_rows(["edge", ""]), 2)
    ['edge', '']
    """
    found: list[str] = []
    position = 0
    while position < len(data) and len(found) < rows:
        length = int.from_bytes(data[position : position + 4], "little")
        end = position + 4 + length
        if end > len(data):
            break
        try:
            found.append(data[position + 4 : end].decode())
        except UnicodeDecodeError as error:
            raise SampleError(f"element {len(found)} of a BYTES tensor is not UTF-8") from error
        position = end
    if len(found) != rows or position != len(data):
        raise SampleError(f"{len(data)} bytes do not make a BYTES tensor of {rows} elements")
    return found


def typed_contents(tensor: pb.ModelInferRequest.InferInputTensor, spec: TensorSpec, shape: tuple[int, ...]) -> Array:
    """A tensor sent value by value (slower than raw bytes, but some clients do).

    Raises
    ------
    SampleError : another number of values than the shape has, or values the dtype cannot hold
    """
    field = _TYPED.get(DATATYPES[spec.dtype])
    values = np.array(getattr(tensor.contents, field)) if field else np.empty(0)
    if values.size != math.prod(shape):
        raise SampleError(f"tensor {spec.name!r} of shape {shape} needs {math.prod(shape)} values, not {values.size}")
    kind = np.dtype(spec.dtype)
    if kind.kind in "iu":
        limits = np.iinfo(kind)
        if values.min() < limits.min or values.max() > limits.max:
            raise SampleError(f"tensor {spec.name!r} holds values outside of {spec.dtype}")
    return values.astype(kind).reshape(shape)
