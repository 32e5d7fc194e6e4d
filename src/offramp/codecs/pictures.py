"""Codecs that send every image of a batch as a picture file."""

from __future__ import annotations

import struct
from abc import abstractmethod
from collections.abc import Sequence
from importlib import import_module
from io import BytesIO
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from offramp.codecs.base import MAX_BYTES, Codec, expected_bytes
from offramp.codecs.zstd import Zstd
from offramp.errors import ConfigError, SampleError

__all__ = ["Pictures"]

Array = NDArray[Any]

_OTHER, _PICTURES = b"\0", b"\1"
_LENGTH = struct.Struct("<I")


class Pictures(Codec):
    """A codec that makes a picture file of every image of a batch, through Pillow.

    Images are uint8 tensors (n, height, width, 1 or 3), with n, height and width above 0 and no side above
    ``max_side``. Every other tensor is one Zstandard frame. The first byte says which; each file follows its length
    in four bytes.

    Parameters
    ----------
    max_bytes : the largest decoded tensor it agrees to make

    Raises
    ------
    ConfigError : Pillow is not installed
    """

    #: the format's largest height or width, in pixels
    max_side: ClassVar[int]

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        super().__init__(max_bytes)
        self._zstd = Zstd(max_bytes=max_bytes)
        try:
            self._image = import_module("PIL.Image")
        except ImportError as error:
            raise ConfigError(f"codec {self.name!r} needs Pillow; pip install 'offramp[data]'") from error

    def encode(self, array: Array) -> bytes:
        if not self.holds(array.dtype.name, array.shape):
            return _OTHER + self._zstd.encode(array)
        parts = [_PICTURES]
        for image in array:
            file = BytesIO()
            pixels = np.ascontiguousarray(image[..., 0] if image.shape[-1] == 1 else image)
            self._write(self._image.fromarray(pixels), file)
            parts += [_LENGTH.pack(file.tell()), file.getvalue()]
        return b"".join(parts)

    def decode(self, data: bytes, dtype: str, shape: Sequence[int]) -> Array:
        expected_bytes(dtype, shape, self.max_bytes)
        kind = bytes(data[:1])
        if kind == _OTHER:
            return self._zstd.decode(data[1:], dtype, shape)
        if kind != _PICTURES or not self.holds(dtype, shape):
            raise SampleError(f"codec {self.name!r}: the bytes hold no {dtype} tensor of shape {tuple(shape)}")
        files = self._files(data, shape[0])
        images = np.empty(tuple(shape), np.uint8)
        for image, file in zip(images, files, strict=True):
            image[...] = self._pixels(file, tuple(shape[1:]))
        return images

    def holds(self, dtype: str, shape: Sequence[int]) -> bool:
        """Whether tensors of this dtype and shape travel as pictures."""
        if dtype != "uint8" or len(shape) != 4 or shape[3] not in (1, 3):
            return False
        return shape[0] > 0 and all(0 < side <= self.max_side for side in shape[1:3])

    def _files(self, data: bytes, count: int) -> list[bytes]:
        files: list[bytes] = []
        at = 1
        while len(files) < count and at + _LENGTH.size <= len(data):
            start = at + _LENGTH.size
            at = start + _LENGTH.unpack_from(data, at)[0]
            files.append(data[start:at])
        if len(files) != count or at != len(data):
            raise SampleError(f"codec {self.name!r}: the bytes do not hold exactly {count} pictures; they are damaged")
        return files

    def _pixels(self, file: bytes, shape: tuple[int, ...]) -> Array:
        height, width, channels = shape
        try:
            with self._open(file, height, width) as picture:
                if picture.size != (width, height) or picture.mode not in ("L", "RGB"):
                    raise SampleError(f"codec {self.name!r}: a picture is {picture.mode} {picture.size}, not {shape}")
                pixels = np.asarray(picture).reshape(height, width, -1)
        except SampleError:
            raise
        except (OSError, SyntaxError, ValueError, EOFError, LookupError, struct.error) as error:
            raise SampleError(f"codec {self.name!r}: a picture is damaged ({error})") from error
        if pixels.shape[2] < channels:
            raise SampleError(f"codec {self.name!r}: a picture is grey, but {shape} has three channels")
        return pixels[..., :channels]

    @abstractmethod
    def _write(self, picture: Any, file: BytesIO) -> None:
        """One grey or RGB picture into a file."""

    @abstractmethod
    def _open(self, file: bytes, height: int, width: int) -> Any:
        """The picture of a file, its pixels not yet made; height and width are those expected.

        Raises
        ------
        SampleError, OSError, SyntaxError : no file of this format
        """
