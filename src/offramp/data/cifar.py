"""CIFAR-10 (as JPEG, or the exact subset) and CIFAR-100 (exact), as found under ``OFFRAMP_DATA``."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.data.arrays import read_arrays
from offramp.data.dataset import Dataset
from offramp.data.registry import shared_file
from offramp.errors import DataError

__all__ = [
    "CIFAR10_LABELS",
    "load_cifar10_exact_subset",
    "load_cifar10_jpeg",
    "load_cifar100",
    "load_cifar100_coarse",
]

CIFAR10_LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")


def load_cifar10_jpeg() -> Dataset:
    """CIFAR-10 (JPEG): 50,000 + 10,000 images (32, 32, 3) uint8, JPEG quality 75, original order.

    Accuracies stay some points below those published for the exact pixels.
    """
    parts = [_read(f"cifar10_{part}_jpeg.npz", _jpeg_images) for part in ("train", "test")]
    labels = [part["labels"].astype(np.int64) for _, part in parts]
    return _joined("cifar10-jpeg", [images for images, _ in parts], labels, CIFAR10_LABELS, "CIFAR-10 (JPEG)")


def load_cifar10_exact_subset() -> Dataset:
    """The part of CIFAR-10 whose exact pixels are at hand: 5,170 train + 1,017 test images (32, 32, 3) uint8.

    The test rows are the first 1,017 of the published test set: enough to check published accuracies.
    """
    images, arrays = _read("cifar10_lossless_subset_webp.npz", _webp_images)
    return Dataset(
        "cifar10-exact-subset",
        (images,),
        arrays["labels"].astype(np.int64),
        CIFAR10_LABELS,
        arrays["is_test"].astype(bool),
        "CIFAR-10 (exact pixels, 5,170 train and 1,017 test images)",
    )


def load_cifar100() -> Dataset:
    """CIFAR-100, 100 fine labels: 50,000 + 10,000 images (32, 32, 3) uint8, exact pixels, original order."""
    return _cifar100("cifar100", "fine", "CIFAR-100 (exact)")


def load_cifar100_coarse() -> Dataset:
    """CIFAR-100 with its 20 superclasses as labels; the same images in the same order."""
    return _cifar100("cifar100-coarse", "coarse", "CIFAR-100 (exact), superclasses")


def _cifar100(name: str, kind: str, description: str) -> Dataset:
    parts = [_read(f"cifar100_{part}_webp.npz", _webp_images) for part in ("train", "test")]
    labels = [part[f"{kind}_labels"].astype(np.int64) for _, part in parts]
    names = tuple(str(label) for label in parts[0][1][f"{kind}_names"])
    return _joined(name, [images for images, _ in parts], labels, names, description)


Arrays = dict[str, NDArray[Any]]


def _read(name: str, decode: Callable[[Arrays], NDArray[np.uint8]]) -> tuple[NDArray[np.uint8], Arrays]:
    file = shared_file(name)
    arrays = read_arrays(file)
    try:
        return decode(arrays), arrays
    except ImportError as error:
        raise DataError(f"{name}: needs Pillow; pip install 'offramp[data]'") from error
    except (KeyError, ValueError, OSError) as error:
        raise DataError(f"{file}: not the expected data file ({error}); compare it with its SHA256SUMS") from error


def _jpeg_images(arrays: Arrays) -> NDArray[np.uint8]:
    from PIL import Image

    header, body, offsets = arrays["header"].tobytes(), arrays["body"].tobytes(), arrays["offsets"]
    blobs = (header + body[a:b] for a, b in itertools.pairwise(offsets))
    return np.stack([np.asarray(Image.open(io.BytesIO(blob))) for blob in blobs])


def _webp_images(arrays: Arrays) -> NDArray[np.uint8]:
    from PIL import Image

    strips, offsets = arrays["webp"].tobytes(), arrays["offsets"]
    blobs = (strips[a:b] for a, b in itertools.pairwise(offsets))
    return np.concatenate([np.asarray(Image.open(io.BytesIO(blob))).reshape(-1, 32, 32, 3) for blob in blobs])


def _joined(
    name: str,
    images: list[NDArray[np.uint8]],
    labels: list[NDArray[np.int64]],
    label_names: tuple[str, ...],
    description: str,
) -> Dataset:
    fixed_test = np.concatenate([np.zeros(len(labels[0]), bool), np.ones(len(labels[1]), bool)])
    return Dataset(name, (np.concatenate(images),), np.concatenate(labels), label_names, fixed_test, description)
