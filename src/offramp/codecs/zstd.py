"""Lossless compression with Zstandard."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import zstandard
from numpy.typing import NDArray

from offramp.codecs.base import MAX_BYTES, Codec, array_of, bytes_of, expected_bytes
from offramp.errors import SampleError

__all__ = ["Zstd"]


class _Contexts(threading.local):
    """Compression contexts, which are dear to make and not safe to share: one pair for each thread."""

    def __init__(self, level: int) -> None:
        self.compressor = zstandard.ZstdCompressor(level=level, write_checksum=True, write_content_size=True)
        self.decompressor = zstandard.ZstdDecompressor()


class Zstd(Codec):
    """Zstandard over the raw bytes, with a checksum; level 1 is the one that pays on feature maps.

    Parameters
    ----------
    level : Zstandard's, 1 (fast) to 22
    max_bytes : the largest decoded tensor it agrees to make

    Examples
    --------
    >>> codec = Zstd()
    >>> data = codec.encode(np.zeros((1, 1000), np.float32))
    >>> len(data) < 40
    True
    >>> codec.decode(data, "float32", (1, 1000)).shape
    (1, 1000)
    """

    name = "zstd"
    lossless = True

    def __init__(self, level: int = 1, max_bytes: int = MAX_BYTES) -> None:
        super().__init__(max_bytes)
        self.level = level
        self._contexts = _Contexts(level)

    def encode(self, array: NDArray[Any]) -> bytes:
        return self.compress(bytes_of(array))

    def decode(self, data: bytes, dtype: str, shape: Sequence[int]) -> NDArray[Any]:
        return array_of(self.decompress(data, expected_bytes(dtype, shape, self.max_bytes)), dtype, shape)

    def compress(self, data: bytes) -> bytes:
        """One Zstandard frame that says how large it is."""
        return self._contexts.compressor.compress(data)

    def decompress(self, data: bytes, expected: int) -> bytes:
        """Exactly ``expected`` bytes from one frame; what the frame claims is checked before any is made.

        Raises
        ------
        SampleError : no frame, another size, damaged, or bytes behind the frame
        """
        try:
            claimed = zstandard.get_frame_parameters(data).content_size
            if claimed != expected:
                raise SampleError(f"compressed tensor: the frame holds {claimed} bytes, but {expected} are expected")
            return self._contexts.decompressor.decompress(data, max_output_size=expected, allow_extra_data=False)
        except zstandard.ZstdError as error:
            raise SampleError(f"compressed tensor: damaged or no Zstandard frame ({error})") from error

    def __repr__(self) -> str:
        bound = "" if self.max_bytes == MAX_BYTES else f", max_bytes={self.max_bytes}"
        return f"Zstd(level={self.level}{bound})"
