"""Floats as 16 levels, two values a byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from offramp.codecs.packed import PackedFloats, finite_groups, groups_of
from offramp.errors import SampleError

__all__ = ["Affine4", "Affine4Channel", "Affine4ChannelZstd", "Affine4Zstd"]

Array = NDArray[Any]

_STEPS = 15


class Affine4(PackedFloats):
    """Affine quantisation to 4 bits, with a range of its own for each row's tensor.

    Of every row the smallest and largest value travel exactly, in the tensor's dtype, and 14 levels between them. So
    no value moves by more than half a step, ``(max - min) / 30``, but for the rounding of the dtype.

    Examples
    --------
    >>> codec = Affine4()
    >>> x = np.array([[0.0, 1.0, 1.4, 15.0], [-1.0, -1.0, 0.0, 2.0]], np.float32)
    >>> data = codec.encode(x)
    >>> len(data), codec.decode(data, "float32", x.shape)
    (20, array([[ 0.,  1.,  1., 15.],
           [-1., -1.,  0.,  2.]], dtype=float32))
    """

    name = "affine4"
    compressed = False
    per_channel: ClassVar[bool] = False

    def _packed_bytes(self, dtype: str, shape: Sequence[int]) -> int:
        groups, size = groups_of(shape, self.per_channel)
        return 2 * groups * np.dtype(dtype).itemsize + (groups * size + 1) // 2

    def _pack(self, array: Array) -> bytes:
        values = finite_groups(array, self.per_channel, self.name)
        low, high = values.min(1, keepdims=True), values.max(1, keepdims=True)
        step = _step(low, high)
        levels = values.astype(np.float64)
        levels -= low
        levels /= np.where(step > 0, step, 1.0)
        flat = np.zeros(-(-levels.size // 2) * 2, np.uint8)
        flat[: levels.size] = np.rint(levels, out=levels).reshape(-1)
        ends = np.hstack([low, high]).astype(values.dtype.newbyteorder("<"))
        return ends.tobytes() + (flat[::2] | flat[1::2] << 4).tobytes()

    def _unpack(self, data: bytes, dtype: str, shape: Sequence[int]) -> Array:
        groups, size = groups_of(shape, self.per_channel)
        kind, count = np.dtype(dtype).newbyteorder("<"), groups * size
        ends = np.frombuffer(data, kind, 2 * groups).reshape(groups, 2).astype(dtype)
        low, high = ends[:, :1], ends[:, 1:]
        if not (np.isfinite(ends).all() and (low <= high).all()):
            raise SampleError(f"codec {self.name!r}: damaged header, a range is not finite or runs backwards")
        pairs = np.frombuffer(data, np.uint8, offset=2 * groups * kind.itemsize)
        if count % 2 and pairs[-1] >> 4:
            raise SampleError(f"codec {self.name!r}: damaged, the half byte behind the last value is not 0")
        levels = np.empty(2 * len(pairs), np.uint8)
        levels[::2], levels[1::2] = pairs & 15, pairs >> 4
        of_groups = levels[:count].reshape(groups, size)
        work = of_groups * _step(low, high)
        work += low
        values = work.astype(dtype)
        np.copyto(values, high, where=of_groups == _STEPS)
        return values.reshape(tuple(shape))

    def _error_bound(self, array: Array) -> Array:
        values = finite_groups(array, self.per_channel, self.name)
        step = _step(values.min(1, keepdims=True), values.max(1, keepdims=True))
        limits = np.finfo(values.dtype)
        largest = np.abs(values).max(1, keepdims=True).astype(np.float64)
        rounding = float(limits.eps) * largest + float(limits.smallest_subnormal)
        return np.broadcast_to(step / 2 + rounding, values.shape).reshape(array.shape)


class Affine4Zstd(Affine4):
    """`Affine4`, then Zstandard level 1.

    Examples
    --------
    >>> len(Affine4Zstd().encode(np.zeros((1, 1000), np.float32))) < 40
    True
    """

    name = "affine4-zstd"
    compressed = True


class Affine4Channel(Affine4):
    """`Affine4` with a range of its own for each channel (axis 1) of each row.

    Examples
    --------
    >>> codec = Affine4Channel()
    >>> x = np.stack([np.linspace(0, 1, 16), np.linspace(0, 100, 16)])[None].astype(np.float32)
    >>> bool(np.allclose(codec.decode(codec.encode(x), "float32", x.shape), x))
    True
    """

    name = "affine4-channel"
    per_channel = True


class Affine4ChannelZstd(Affine4Channel):
    """`Affine4Channel`, then Zstandard level 1.

    Examples
    --------
    >>> len(Affine4ChannelZstd().encode(np.zeros((1, 4, 1000), np.float32))) < 60
    True
    """

    name = "affine4-channel-zstd"
    compressed = True


def _step(low: Array, high: Array) -> NDArray[np.float64]:
    step: NDArray[np.float64] = (high.astype(np.float64) - low.astype(np.float64)) / _STEPS
    return step
