"""Folders of images, one sub-folder for each class."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.data.dataset import Dataset
from offramp.errors import DataError

__all__ = ["IMAGE_SUFFIXES", "load_image_folder"]

IMAGE_SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")

Image = NDArray[np.uint8]


def load_image_folder(path: str | Path, *, size: int | None = None, on_error: str = "stop") -> Dataset:
    """Images (n, height, width, 3) uint8; the classes are the names of the sub-folders, in order.

    ``FOLDER/CLASS/IMAGE``, or ``FOLDER/train/CLASS/IMAGE`` beside ``FOLDER/test/CLASS/IMAGE``, where
    the second are the test rows. Files that do not end like an image are passed over.

    Parameters
    ----------
    path : the folder
    size : scale every image to size x size; without it they must all have the same size
    on_error : what to do about a file that cannot be read: ``stop``, or ``skip`` it; how many were
        skipped is warned of and told in the description

    Raises
    ------
    DataError : no folder, no images, an unreadable file (unless skipped), images of different sizes
    """
    folder = Path(path)
    if on_error not in ("stop", "skip"):
        raise DataError(f"on_error must be stop or skip, not {on_error!r}")
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder")
    files, classes = _files(folder)
    images: list[Image] = []
    kept: list[int] = []
    skipped = 0
    for index, (file, _, _) in enumerate(files):
        image = _read(file, size, on_error)
        if image is None:
            skipped += 1
            continue
        if images and image.shape != images[0].shape:
            raise DataError(
                f"{file}: is {image.shape[1]} x {image.shape[0]}, but {files[kept[0]][0].name} is "
                f"{images[0].shape[1]} x {images[0].shape[0]}; scale them with size="
            )
        images.append(image)
        kept.append(index)
    if not images:
        raise DataError(f"{folder}: holds no readable image in a sub-folder for each class")
    told = f"{skipped} of {len(files)} files could not be read and were skipped" if skipped else ""
    if told:
        warnings.warn(f"{folder.name}: {told}", stacklevel=2)
    return Dataset(
        folder.name,
        (np.stack(images),),
        np.array([files[index][1] for index in kept], np.int64),
        classes,
        np.array([files[index][2] for index in kept], bool),
        f"images read from {folder.name}" + (f"; {told}" if told else ""),
    )


def _files(folder: Path) -> tuple[list[tuple[Path, int, bool]], tuple[str, ...]]:
    """(file, class, is a test row) of every image, and the classes."""
    parts = [(folder, False)]
    if set(_subfolders(folder)) == {"test", "train"}:
        parts = [(folder / "train", False), (folder / "test", True)]
    classes = tuple(sorted({name for part, _ in parts for name in _subfolders(part)}))
    files = [
        (file, index, is_test)
        for part, is_test in parts
        for index, name in enumerate(classes)
        for file in sorted((part / name).rglob("*"))
        if file.suffix.lower() in IMAGE_SUFFIXES and file.is_file()
    ]
    return files, classes


def _subfolders(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def _read(file: Path, size: int | None, on_error: str) -> Image | None:
    try:
        from PIL import Image as Pillow
    except ImportError as error:
        raise DataError("image folders need Pillow; pip install 'offramp[data]'") from error
    try:
        with Pillow.open(file) as opened:
            picture = opened.convert("RGB")
            if size is not None:
                picture = picture.resize((size, size), Pillow.Resampling.BILINEAR)
            return np.asarray(picture)
    except (OSError, ValueError, SyntaxError, Pillow.DecompressionBombError) as error:
        if on_error == "skip":
            return None
        raise DataError(f"{file}: not a readable image ({error}); on_error=skip leaves such files out") from error
