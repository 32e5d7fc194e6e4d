"""What is nearly free to know of an image: statistics of its pixels and a thumbnail of a few of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.errors import SampleError

__all__ = ["thumbnail_features"]


def thumbnail_features(images: NDArray[np.uint8], side: int = 3) -> NDArray[np.float32]:
    """(n, 11 + side^2) features of images.

    Mean and standard deviation of every channel, of the brightness their mean absolute step to the right and down, the
    mean spread between channels, the share of the darkest and lightest sixteenth, and a thumbnail of the brightness.

    Parameters
    ----------
    images : (n, H, W, 3) in 0..255
    side : of the thumbnail, in pixels

    Raises
    ------
    SampleError : other shapes, or images smaller than the thumbnail

    Examples
    --------
    >>> thumbnail_features(np.full((1, 32, 32, 3), 128, np.uint8)).shape
    (1, 20)
    """
    if images.ndim != 4 or images.shape[3] != 3 or min(images.shape[1:3]) < max(side, 2):
        raise SampleError(f"images must be of shape (n, H, W, 3), at least {max(side, 2)} pixels wide: {images.shape}")
    pixels = images.astype(np.float32) / 255.0
    light = pixels.mean(3)
    columns = [*pixels.mean((1, 2)).T, *pixels.std((1, 2)).T]
    columns += [np.abs(np.diff(light, axis=axis)).mean((1, 2)) for axis in (2, 1)]
    columns += [pixels.std(3).mean((1, 2)), (light < 1 / 16).mean((1, 2)), (light > 15 / 16).mean((1, 2))]
    rows, across = (np.array_split(np.arange(size), side) for size in light.shape[1:])
    columns += [light[:, down[0] : down[-1] + 1, to[0] : to[-1] + 1].mean((1, 2)) for down in rows for to in across]
    return np.stack(columns, 1).astype(np.float32)
