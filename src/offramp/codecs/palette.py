"""Tensors of few different values: a table of them, and an index of 1, 2, 4 or 8 bits for each."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from offramp.codecs.base import MAX_BYTES, Codec, array_of, bytes_of, expected_bytes
from offramp.codecs.zstd import Zstd
from offramp.errors import SampleError

__all__ = ["Palette", "PaletteZstd"]

#: how many values stand in the table; 0: the tensor as it is
_HEADER = struct.Struct("<H")
_BITS = (1, 2, 4, 8)

Array = NDArray[Any]


class Palette(Codec):
    """Nothing is lost: signs cross as 1 bit a value, k-bit activations as k bits, anything else as it is.

    The table holds the different values, at most 256, in the order of their bits. A tensor with more travels as it is
    behind two bytes. Made for what low-bit segments hand over.

    Parameters
    ----------
    max_bytes : the largest decoded tensor it agrees to make

    Examples
    --------
    >>> codec = Palette()
    >>> x = np.array([[1.0, -1.0, -1.0, 1.0, 1.0, 1.0, 1.0, 1.0]], np.float32)
    >>> data = codec.encode(x)
    >>> len(data), bool((codec.decode(data, "float32", x.shape) == x).all())
    (11, True)
    """

    name = "palette"
    lossless = True
    compressed: ClassVar[bool] = False

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        super().__init__(max_bytes)
        self._zstd = Zstd(max_bytes=max_bytes) if self.compressed else None

    def encode(self, array: Array) -> bytes:
        plain = bytes_of(array)
        table, indices = _table(array)
        if len(table):
            plain = _pack(indices, _bits_for(len(table)))
        body = plain if self._zstd is None else self._zstd.compress(plain)
        return _HEADER.pack(len(table)) + bytes_of(table) + body

    def decode(self, data: bytes, dtype: str, shape: Sequence[int]) -> Array:
        expected = expected_bytes(dtype, shape, self.max_bytes)
        if len(data) < _HEADER.size:
            raise SampleError(f"codec {self.name!r}: {len(data)} bytes are too few for a header")
        (count,) = _HEADER.unpack_from(data)
        size = np.dtype(dtype).itemsize
        values, begin = expected // size, _HEADER.size + count * size
        if count > min(256, values) or len(data) < begin:
            raise SampleError(
                f"codec {self.name!r}: damaged, a table of {count} values for {values} in {len(data)} bytes"
            )
        if not count:
            return array_of(self._body(data[begin:], expected), dtype, shape)
        bits = _bits_for(count)
        packed = self._body(data[begin:], -(-values * bits // 8))
        indices = _unpack(packed, bits, values, self.name)
        if indices.max() >= count:
            raise SampleError(f"codec {self.name!r}: damaged, an index points behind the table of {count} values")
        table = array_of(data[_HEADER.size : begin], dtype, (count,))
        return table[indices].reshape(tuple(shape))

    def _body(self, data: bytes, expected: int) -> bytes:
        if self._zstd is not None:
            return self._zstd.decompress(data, expected)
        if len(data) != expected:
            raise SampleError(f"codec {self.name!r}: {len(data)} bytes behind the table, but {expected} are expected")
        return data


class PaletteZstd(Palette):
    """`Palette`, then Zstandard level 1.

    Examples
    --------
    >>> len(PaletteZstd().encode(np.ones((1, 8000), np.float32))) < 40
    True
    """

    name = "palette-zstd"
    compressed = True


def _bits_for(count: int) -> int:
    return next(bits for bits in _BITS if count <= 2**bits)


def _table(array: Array) -> tuple[Array, NDArray[np.uint8]]:
    """The different bit patterns as values, and the index of each; an empty table where they are more than 256."""
    flat = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(-1)
    patterns = flat.view(f"u{flat.dtype.itemsize}")
    if flat.size and (pair := _pair(patterns)) is not None:
        return pair[0].view(flat.dtype), pair[1]
    if not flat.size or len(np.unique(patterns[:1024])) > 256:
        return flat[:0], np.zeros(0, np.uint8)
    table, indices = np.unique(patterns, return_inverse=True)
    if len(table) > 256:
        return flat[:0], np.zeros(0, np.uint8)
    return table.view(flat.dtype), indices.astype(np.uint8)


def _pair(patterns: Array) -> tuple[Array, NDArray[np.uint8]] | None:
    """Signs, without sorting: the table and indices of one or two patterns, ``None`` where there are more."""
    others = patterns != patterns[0]
    second = int(others.argmax())
    if not others[second]:
        return patterns[:1].copy(), np.zeros(patterns.size, np.uint8)
    if (patterns[others] != patterns[second]).any():
        return None
    rising = patterns[0] < patterns[second]
    table = patterns[[0, second] if rising else [second, 0]]
    return table, (others if rising else ~others).view(np.uint8)


def _pack(indices: NDArray[np.uint8], bits: int) -> bytes:
    if bits == 8:
        return indices.tobytes()
    if bits == 1:
        return np.packbits(indices, bitorder="little").tobytes()
    share = 8 // bits
    padded = np.zeros(-(-len(indices) // share) * share, np.uint8)
    padded[: len(indices)] = indices
    shifts = (np.arange(share) * bits).astype(np.uint8)
    packed: NDArray[np.uint8] = np.bitwise_or.reduce(padded.reshape(-1, share) << shifts, axis=1)
    return packed.tobytes()


def _unpack(data: bytes, bits: int, count: int, name: str) -> NDArray[np.uint8]:
    packed = np.frombuffer(data, np.uint8)
    if bits == 8:
        return packed
    shifts = (np.arange(8 // bits) * bits).astype(np.uint8)
    indices: NDArray[np.uint8] = ((packed[:, None] >> shifts) & np.uint8(2**bits - 1)).reshape(-1)
    if indices[count:].any():
        raise SampleError(f"codec {name!r}: damaged, a bit behind the last value is not 0")
    return indices[:count]
