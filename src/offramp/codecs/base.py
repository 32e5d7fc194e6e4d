"""The seam between tensors and bytes."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from offramp.errors import PayloadTooLarge, SampleError

__all__ = ["DTYPES", "MAX_BYTES", "Codec", "array_of", "bytes_of", "expected_bytes"]

#: the largest tensor a codec decodes unless told otherwise
MAX_BYTES = 64 * 1024 * 1024

#: what may travel: the dtypes of a cascade's tensors
DTYPES = ("float32", "float16", "uint8", "int8", "int32", "int64", "bool")

Array = NDArray[Any]


class Codec(ABC):
    """Turns a tensor into bytes and back.

    A codec holds no state between calls and may be used by several threads. Its class attributes are
    ``name``, under which it is found (entry point group ``offramp.codecs``), and ``lossless``, which
    says whether `decode` gives back exactly what `encode` was given.

    Parameters
    ----------
    max_bytes : the largest decoded tensor it agrees to make
    """

    name: ClassVar[str]
    lossless: ClassVar[bool]

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes

    @abstractmethod
    def encode(self, array: Array) -> bytes:
        """The bytes of a tensor; dtype and shape travel beside them.

        Raises
        ------
        SampleError : the dtype cannot travel, or the codec cannot hold the values
        """

    @abstractmethod
    def decode(self, data: bytes, dtype: str, shape: Sequence[int]) -> Array:
        """The tensor of these bytes, possibly read-only.

        Never makes more than ``max_bytes``, whatever the bytes claim.

        Raises
        ------
        PayloadTooLarge : dtype and shape need more than ``max_bytes``
        SampleError : the bytes are damaged, or do not give exactly this dtype and shape
        """

    def error_bound(self, array: Array) -> Array:
        """The most by which `decode` may miss each value that `encode` was given.

        Parameters
        ----------
        array : what is encoded, of any shape

        Returns
        -------
        Float64 array of the same shape: 0 where the value survives, infinity where nothing is promised, which is
        what a codec that is not ``lossless`` says unless it knows better

        Raises
        ------
        SampleError : the codec cannot hold the values
        """
        return np.full(array.shape, 0.0 if self.lossless else math.inf)

    def __repr__(self) -> str:
        bound = "" if self.max_bytes == MAX_BYTES else f"max_bytes={self.max_bytes}"
        return f"{type(self).__name__}({bound})"


def expected_bytes(dtype: str, shape: Sequence[int], max_bytes: int) -> int:
    """Bytes of a tensor of this dtype and shape.

    Raises
    ------
    PayloadTooLarge : more than ``max_bytes``
    SampleError : a dtype that cannot travel, or a negative dimension

    Examples
    --------
    >>> expected_bytes("float32", (2, 3), max_bytes=100)
    24
    """
    if dtype not in DTYPES:
        raise SampleError(f"a tensor of dtype {dtype!r} cannot travel; use one of {', '.join(DTYPES)}")
    if any(size < 0 for size in shape):
        raise SampleError(f"a tensor cannot have the shape {tuple(shape)}: a dimension is negative")
    size = math.prod(shape) * np.dtype(dtype).itemsize
    if size > max_bytes:
        raise PayloadTooLarge(
            f"a {dtype} tensor of shape {tuple(shape)} has {size} bytes, but at most {max_bytes} are accepted; "
            "send fewer rows"
        )
    return size


def bytes_of(array: Array) -> bytes:
    """The little-endian bytes of a tensor in C order.

    Raises
    ------
    SampleError : a dtype that cannot travel
    """
    return array.astype(_on_the_wire(array.dtype), copy=False).tobytes()


@cache
def _on_the_wire(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The little-endian dtype; looking its name up takes NumPy longer than copying a small tensor."""
    if dtype.name not in DTYPES:
        raise SampleError(f"a tensor of dtype {dtype.name!r} cannot travel; use one of {', '.join(DTYPES)}")
    return dtype.newbyteorder("<")


def array_of(data: bytes, dtype: str, shape: Sequence[int]) -> Array:
    """The tensor of its little-endian bytes; a read-only view where possible.

    Raises
    ------
    SampleError : the bytes do not fill exactly this shape, or are no truth values where ``dtype`` is bool
    """
    kind = np.dtype(dtype).newbyteorder("<")
    expected = math.prod(shape) * kind.itemsize
    if len(data) != expected:
        raise SampleError(
            f"{len(data)} bytes do not make a {dtype} tensor of shape {tuple(shape)}, which has {expected}"
        )
    if kind == np.bool_ and expected and np.frombuffer(data, np.uint8).max() > 1:
        raise SampleError(f"a bool tensor of shape {tuple(shape)} holds bytes other than 0 and 1")
    return np.frombuffer(data, kind).reshape(tuple(shape))
