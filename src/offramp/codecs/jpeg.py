"""Images as JPEG."""

from __future__ import annotations

from importlib import import_module
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.codecs.pictures import Pictures

__all__ = ["Jpeg"]

_QUALITY = 75


class Jpeg(Pictures):
    """JPEG of quality 75 for uint8 images (n, height, width, 1 or 3), Zstandard for every other tensor.

    For sending the raw input. It promises nothing about a single pixel. Needs Pillow (extra ``data``).

    Examples
    --------
    >>> codec = Jpeg()
    >>> images = np.tile(np.arange(0, 256, 4, dtype=np.uint8), (1, 64, 1))[..., None]
    >>> back = codec.decode(codec.encode(images), "uint8", images.shape)
    >>> int(np.abs(back.astype(int) - images).max()) < 10
    True
    """

    name = "jpeg"
    lossless = False
    max_side = 65500

    def error_bound(self, array: NDArray[Any]) -> NDArray[Any]:
        return np.full(array.shape, 255.0 if self.holds(array.dtype.name, array.shape) else 0.0)

    def _write(self, picture: Any, file: BytesIO) -> None:
        picture.save(file, "JPEG", quality=_QUALITY)

    def _open(self, file: bytes, height: int, width: int) -> Any:
        # not Image.open, which warns of files that claim to be large; the size is checked before pixels are made
        return import_module("PIL.JpegImagePlugin").JpegImageFile(BytesIO(file))
