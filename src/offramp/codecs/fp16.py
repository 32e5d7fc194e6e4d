"""Floats in half the bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.codecs.packed import PackedFloats, finite_groups, groups_of
from offramp.errors import SampleError

__all__ = ["Fp16", "Fp16Zstd"]

Array = NDArray[Any]

_LARGEST = 65504.0
#: of a row whose largest value is that of float32
_MOST = 113


class Fp16(PackedFloats):
    """IEEE half precision: every value is rounded to 11 bits, every float16 stays what it is.

    A row with a value beyond 65504 is divided by a power of two first, which travels as one byte per row (0 for all
    others). So no value x moves by more than ``abs(x) / 2**11``, and by ``2**(exponent - 25)`` where that is more.

    Examples
    --------
    >>> codec = Fp16()
    >>> x = np.array([[0.1, 3.0], [1e6, 1.0]], np.float32)
    >>> data = codec.encode(x)
    >>> len(data), codec.decode(data, "float32", x.shape)
    (10, array([[9.9975586e-02, 3.0000000e+00],
           [9.9993600e+05, 1.0000000e+00]], dtype=float32))
    """

    name = "fp16"
    compressed = False

    def _packed_bytes(self, dtype: str, shape: Sequence[int]) -> int:
        groups, size = groups_of(shape, per_channel=False)
        return groups + 2 * groups * size

    def _pack(self, array: Array) -> bytes:
        values = finite_groups(array, per_channel=False, name=self.name)
        exponents = _exponents(values)
        if exponents.any():
            values = np.ldexp(values, -exponents[:, None])
        return exponents.astype(np.uint8).tobytes() + values.astype("<f2").tobytes()

    def _unpack(self, data: bytes, dtype: str, shape: Sequence[int]) -> Array:
        groups, size = groups_of(shape, per_channel=False)
        exponents = np.frombuffer(data, np.uint8, groups).astype(np.int32)
        halves = np.frombuffer(data, "<f2", groups * size, offset=groups).reshape(groups, size)
        if (exponents > (_MOST if dtype == "float32" else 0)).any():
            raise SampleError(f"codec {self.name!r}: damaged exponents of rows, the largest is {exponents.max()}")
        if not np.isfinite(halves).all():
            raise SampleError(f"codec {self.name!r}: the bytes hold NaN or infinity; they are damaged")
        values = halves.astype(dtype)
        if exponents.any():
            largest = np.finfo(dtype).max
            with np.errstate(over="ignore"):
                values = np.ldexp(values, exponents[:, None]).clip(-largest, largest)
        return values.reshape(tuple(shape))

    def _error_bound(self, array: Array) -> Array:
        if array.dtype.name == "float16":
            return np.zeros(array.shape)
        values = finite_groups(array, per_channel=False, name=self.name).astype(np.float64)
        least = np.ldexp(1.0, _exponents(values) - 25)[:, None]
        bound: Array = np.maximum(np.abs(values) / 2**11, least).reshape(array.shape)
        return bound


class Fp16Zstd(Fp16):
    """`Fp16`, then Zstandard level 1.

    Examples
    --------
    >>> len(Fp16Zstd().encode(np.zeros((1, 1000), np.float32))) < 40
    True
    """

    name = "fp16-zstd"
    compressed = True


def _exponents(values: Array) -> NDArray[np.int32]:
    """(groups,) Powers of two to divide by, so that nothing lies beyond the largest half."""
    largest = np.abs(values).max(1)
    return np.where(largest > _LARGEST, np.frexp(largest)[1] - 15, 0).astype(np.int32)
