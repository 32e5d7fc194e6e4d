"""Floats as their signs, eight values a byte."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from offramp.codecs.packed import PackedFloats, finite_groups, groups_of
from offramp.errors import SampleError

__all__ = ["Sign", "SignChannel", "SignChannelZstd", "SignZstd"]

Array = NDArray[Any]


class Sign(PackedFloats):
    """One bit a value: negative or not, with one scale for each row's tensor.

    A value comes back as plus or minus the mean absolute value of its row, which is the scale with the least squared
    error. Zero counts as positive. A tensor without negative values (behind a ReLU) becomes a constant, so this codec
    is for networks that were trained with it, such as binarised ones.

    Source: Rastegari et al. 2016 (XNOR-Net), section 3.1, for the scale.

    Examples
    --------
    >>> codec = Sign()
    >>> x = np.array([[0.5, -1.5, 2.0, -2.0]], np.float32)
    >>> data = codec.encode(x)
    >>> len(data), codec.decode(data, "float32", x.shape)
    (5, array([[ 1.5, -1.5,  1.5, -1.5]], dtype=float32))
    """

    name = "sign"
    compressed = False
    per_channel: ClassVar[bool] = False

    def _packed_bytes(self, dtype: str, shape: Sequence[int]) -> int:
        groups, size = groups_of(shape, self.per_channel)
        return groups * np.dtype(dtype).itemsize + (groups * size + 7) // 8

    def _pack(self, array: Array) -> bytes:
        values = finite_groups(array, self.per_channel, self.name)
        scales = _scales(values)
        return scales.astype(scales.dtype.newbyteorder("<")).tobytes() + np.packbits(values < 0).tobytes()

    def _unpack(self, data: bytes, dtype: str, shape: Sequence[int]) -> Array:
        groups, size = groups_of(shape, self.per_channel)
        kind, count = np.dtype(dtype).newbyteorder("<"), groups * size
        scales = np.frombuffer(data, kind, groups).astype(dtype)[:, None]
        if not (np.isfinite(scales).all() and (scales >= 0).all()):
            raise SampleError(f"codec {self.name!r}: damaged header, a scale is negative or not finite")
        plane = np.unpackbits(np.frombuffer(data, np.uint8, offset=groups * kind.itemsize))
        if plane[count:].any():
            raise SampleError(f"codec {self.name!r}: damaged, a bit behind the last value is not 0")
        negative = plane[:count].reshape(groups, size).astype(bool)
        return np.where(negative, -scales, scales).reshape(tuple(shape))

    def _error_bound(self, array: Array) -> Array:
        values = finite_groups(array, self.per_channel, self.name)
        scales = _scales(values)[:, None].astype(np.float64)
        return np.abs(np.abs(values) - scales).reshape(array.shape)


class SignZstd(Sign):
    """`Sign`, then Zstandard level 1.

    Examples
    --------
    >>> len(SignZstd().encode(np.ones((1, 8000), np.float32))) < 40
    True
    """

    name = "sign-zstd"
    compressed = True


class SignChannel(Sign):
    """`Sign` with one scale for each channel (axis 1) of each row.

    Examples
    --------
    >>> codec = SignChannel()
    >>> x = np.array([[[1.0, -1.0], [7.0, 7.0]]], np.float32)
    >>> codec.decode(codec.encode(x), "float32", x.shape)
    array([[[ 1., -1.],
            [ 7.,  7.]]], dtype=float32)
    """

    name = "sign-channel"
    per_channel = True


class SignChannelZstd(SignChannel):
    """`SignChannel`, then Zstandard level 1.

    Examples
    --------
    >>> len(SignChannelZstd().encode(np.ones((1, 2, 8000), np.float32))) < 50
    True
    """

    name = "sign-channel-zstd"
    compressed = True


def _scales(values: Array) -> Array:
    """(groups,) Mean absolute value, in the dtype of the values."""
    scales: Array = np.abs(values).mean(1, dtype=np.float64).astype(values.dtype)
    return scales
