"""The tensor's own bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from offramp.codecs.base import Codec, array_of, bytes_of, expected_bytes

__all__ = ["Raw"]


class Raw(Codec):
    """Little-endian bytes in C order: no work, no saving.

    Examples
    --------
    >>> len(Raw().encode(np.zeros((2, 3), np.float32)))
    24
    """

    name = "raw"
    lossless = True

    def encode(self, array: NDArray[Any]) -> bytes:
        return bytes_of(array)

    def decode(self, data: bytes, dtype: str, shape: Sequence[int]) -> NDArray[Any]:
        expected_bytes(dtype, shape, self.max_bytes)
        return array_of(data, dtype, shape)
