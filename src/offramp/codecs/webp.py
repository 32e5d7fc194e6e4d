"""Images as lossless WebP."""

from __future__ import annotations

from importlib import import_module
from io import BytesIO
from typing import Any

from offramp.codecs.pictures import Pictures
from offramp.errors import SampleError

__all__ = ["Webp"]

_HEADER_BYTES = 25


class Webp(Pictures):
    """Lossless WebP for uint8 images (n, height, width, 1 or 3), Zstandard for every other tensor.

    For sending the raw input. Needs Pillow (extra ``data``).

    Examples
    --------
    >>> codec = Webp()
    >>> images = np.zeros((2, 32, 32, 3), np.uint8)
    >>> images[:, 8:24, 8:24] = [200, 30, 40]
    >>> data = codec.encode(images)
    >>> len(data) < images.nbytes / 20, bool((codec.decode(data, "uint8", images.shape) == images).all())
    (True, True)
    """

    name = "webp"
    lossless = True
    max_side = 16383

    def _write(self, picture: Any, file: BytesIO) -> None:
        picture.convert("RGB").save(file, "WEBP", lossless=True, quality=50, method=2)

    def _open(self, file: bytes, height: int, width: int) -> Any:
        # Pillow makes canvases of the claimed size when it opens a file, so the claim is read here first
        if len(file) < _HEADER_BYTES or file[:4] != b"RIFF" or file[8:16] != b"WEBPVP8L" or file[20] != 0x2F:
            raise SampleError("codec 'webp': a picture is no simple lossless WebP file; it is damaged")
        if int.from_bytes(file[4:8], "little") != len(file) - 8:
            raise SampleError("codec 'webp': a picture has another length than it says; it is damaged")
        size = int.from_bytes(file[21:25], "little")
        claimed = (size >> 14 & 0x3FFF) + 1, (size & 0x3FFF) + 1
        if claimed != (height, width):
            raise SampleError(f"codec 'webp': a picture is {claimed}, not {(height, width)}")
        return import_module("PIL.WebPImagePlugin").WebPImageFile(BytesIO(file))
