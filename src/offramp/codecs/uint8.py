"""Floats as 256 levels, compressed."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from offramp.codecs.base import MAX_BYTES, Codec, array_of, bytes_of, expected_bytes
from offramp.codecs.zstd import Zstd
from offramp.errors import SampleError

__all__ = ["Uint8", "Uint8Plain"]

_HEADER = struct.Struct("<dd")  # scale, zero point: value = zero_point + scale * level
_FLOATS = ("float32", "float16")
#: scales between which float32 arithmetic neither overflows nor loses the half step
_FLOAT32_SAFE = (1e-30, 1e30)


class Uint8(Codec):
    """Per-tensor affine quantisation to uint8, then Zstandard level 1.

    Of a float tensor the smallest and largest value are kept and 254 levels between them, so no value
    moves by more than half a step, ``(max - min) / 510``. Other dtypes are only compressed.

    Examples
    --------
    >>> codec = Uint8()
    >>> x = np.array([[0.0, 1.0, 1.2, 255.0]], np.float32)
    >>> codec.decode(codec.encode(x), "float32", x.shape)
    array([[  0.,   1.,   1., 255.]], dtype=float32)
    """

    name = "uint8"
    lossless = False
    compressed: ClassVar[bool] = True

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        super().__init__(max_bytes)
        self._zstd = Zstd(max_bytes=max_bytes)

    def encode(self, array: NDArray[Any]) -> bytes:
        if array.dtype.name not in _FLOATS:
            return self._squeezed(bytes_of(array))
        scale, zero_point = _range(array)
        levels = _quantise(array, scale, zero_point)
        return _HEADER.pack(scale, zero_point) + self._squeezed(levels.tobytes())

    def decode(self, data: bytes, dtype: str, shape: Sequence[int]) -> NDArray[Any]:
        size = expected_bytes(dtype, shape, self.max_bytes)
        if dtype not in _FLOATS:
            return array_of(self._unsqueezed(data, size), dtype, shape)
        if len(data) < _HEADER.size:
            raise SampleError(f"quantised tensor: {len(data)} bytes are too few for its header; it is cut short")
        scale, zero_point = _HEADER.unpack_from(data)
        largest = float(np.finfo(dtype).max) * (1 + 1e-6)
        if not (scale >= 0 and abs(zero_point) <= largest and zero_point + 255 * scale <= largest):
            raise SampleError(f"quantised tensor: damaged header (scale {scale}, zero point {zero_point})")
        count = size // np.dtype(dtype).itemsize
        levels = np.frombuffer(self._unsqueezed(data[_HEADER.size :], count), np.uint8)
        return _dequantise(levels, scale, zero_point, dtype).reshape(tuple(shape))

    def error_bound(self, array: NDArray[Any]) -> NDArray[Any]:
        if array.dtype.name not in _FLOATS or not array.size:
            return np.zeros(array.shape)
        scale, _ = _range(array)
        largest, limits = float(np.abs(array).max()), np.finfo(array.dtype)
        rounding = 2 * float(limits.eps) * largest + 2 * float(limits.tiny)
        return np.full(array.shape, scale / 2 * (1 + 1e-4) + rounding)

    def _squeezed(self, plain: bytes) -> bytes:
        return self._zstd.compress(plain) if self.compressed else plain

    def _unsqueezed(self, data: bytes, size: int) -> bytes:
        if self.compressed:
            return self._zstd.decompress(data, size)
        if len(data) != size:
            raise SampleError(f"codec {self.name!r}: {len(data)} bytes where {size} are due; the tensor is damaged")
        return data


class Uint8Plain(Uint8):
    """`Uint8` without Zstandard: a quarter of the bytes of float32, and less time to encode.

    Examples
    --------
    >>> len(Uint8Plain().encode(np.zeros((1, 1000), np.float32)))
    1016
    """

    name = "uint8-plain"
    compressed = False


def _range(array: NDArray[Any]) -> tuple[float, float]:
    """Scale and zero point; 0 and 0 for a tensor without values."""
    if not array.size:
        return 0.0, 0.0
    low, high = float(array.min()), float(array.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        raise SampleError("codec 'uint8' cannot hold NaN or infinity; check the tensor or use codec 'raw'")
    return (high - low) / 255.0, low


def _quantise(array: NDArray[Any], scale: float, zero_point: float) -> NDArray[np.uint8]:
    """Level of every value, in C order."""
    if scale == 0.0:
        return np.zeros(array.shape, np.uint8)
    work: NDArray[np.floating] = np.array(array, _work_dtype(scale), order="C")
    work -= work.dtype.type(zero_point)
    work *= work.dtype.type(1.0 / scale)
    np.rint(work, out=work)
    return work.astype(np.uint8)


def _dequantise(levels: NDArray[np.uint8], scale: float, zero_point: float, dtype: str) -> NDArray[Any]:
    work: NDArray[np.floating] = levels.astype(_work_dtype(scale))
    work *= work.dtype.type(scale)
    work += work.dtype.type(zero_point)
    if work.dtype == np.float64:
        np.minimum(work, float(np.finfo(dtype).max), out=work)
    return work.astype(dtype, copy=False)


def _work_dtype(scale: float) -> type[np.floating]:
    return np.float32 if _FLOAT32_SAFE[0] < scale < _FLOAT32_SAFE[1] else np.float64
