"""Codecs whose packed floats have a length that dtype and shape fix."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from offramp.codecs.base import MAX_BYTES, Codec, array_of, bytes_of, expected_bytes
from offramp.codecs.zstd import Zstd
from offramp.errors import SampleError

__all__ = ["FLOATS", "PackedFloats", "finite_groups", "groups_of"]

FLOATS = ("float32", "float16")

Array = NDArray[Any]


class PackedFloats(Codec):
    """A codec that packs floats into fewer bits and leaves every other dtype as it is.

    What it packs depends on dtype and shape alone in length, so a decoder knows how many bytes to expect before
    it makes any. With ``compressed`` the bytes, of whatever dtype, are one Zstandard frame of level 1.

    Parameters
    ----------
    max_bytes : the largest decoded tensor it agrees to make
    """

    lossless = False
    compressed: ClassVar[bool]

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        super().__init__(max_bytes)
        self._zstd = Zstd(max_bytes=max_bytes) if self.compressed else None

    def encode(self, array: Array) -> bytes:
        packed = array.dtype.name in FLOATS and array.size
        plain = self._pack(array) if packed else bytes_of(array)
        return plain if self._zstd is None else self._zstd.compress(plain)

    def decode(self, data: bytes, dtype: str, shape: Sequence[int]) -> Array:
        expected = expected_bytes(dtype, shape, self.max_bytes)
        packed = dtype in FLOATS and expected > 0
        if packed:
            expected = self._packed_bytes(dtype, shape)
        if self._zstd is not None:
            data = self._zstd.decompress(data, expected)
        if not packed:
            return array_of(data, dtype, shape)
        if len(data) != expected:
            raise SampleError(
                f"codec {self.name!r}: {len(data)} bytes do not make a {dtype} tensor of shape {tuple(shape)}, "
                f"which packs into {expected}"
            )
        return self._unpack(data, dtype, shape)

    def error_bound(self, array: Array) -> Array:
        packed = array.dtype.name in FLOATS and array.size
        return self._error_bound(array) if packed else np.zeros(array.shape)

    @abstractmethod
    def _packed_bytes(self, dtype: str, shape: Sequence[int]) -> int:
        """How many bytes `_pack` makes of floats of this dtype and shape, which has values."""

    @abstractmethod
    def _pack(self, array: Array) -> bytes:
        """The bytes of one float or more.

        Raises
        ------
        SampleError : NaN or infinity
        """

    @abstractmethod
    def _unpack(self, data: bytes, dtype: str, shape: Sequence[int]) -> Array:
        """The floats of exactly `_packed_bytes` bytes.

        Raises
        ------
        SampleError : the bytes are damaged
        """

    @abstractmethod
    def _error_bound(self, array: Array) -> Array:
        """As `error_bound`, for one float or more."""


def groups_of(shape: Sequence[int], per_channel: bool) -> tuple[int, int]:
    """Groups that share a scale, and values in each.

    A group is a row (axis 0), or one channel (axis 1) of a row where there are axes behind the channels. Rows share
    nothing, so a row decodes to the same values whatever rows travel with it.

    Examples
    --------
    >>> groups_of((2, 16, 8, 8), per_channel=False), groups_of((2, 16, 8, 8), per_channel=True)
    ((2, 1024), (32, 64))
    >>> groups_of((2, 10), per_channel=True), groups_of((), per_channel=True)
    ((2, 10), (1, 1))
    """
    axes = 2 if per_channel and len(shape) > 2 else 1
    return math.prod(shape[:axes]), math.prod(shape[axes:])


def finite_groups(array: Array, per_channel: bool, name: str) -> Array:
    """The values as (groups, values in each), in C order and native byte order.

    Raises
    ------
    SampleError : NaN or infinity, which codec ``name`` cannot hold
    """
    native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    if not np.isfinite(native).all():
        raise SampleError(f"codec {name!r} cannot hold NaN or infinity; check the tensor or use codec 'raw'")
    return native.reshape(groups_of(array.shape, per_channel))
