"""Data sets larger than memory: a folder of ``.npy`` files, mapped instead of read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.data.dataset import Dataset
from offramp.errors import DataError

__all__ = ["is_mapped_folder", "load_mapped"]


def is_mapped_folder(path: str | Path) -> bool:
    """Whether it is a folder with ``inputs.npy`` (or ``inputs-0.npy``, ...) and ``labels.npy``."""
    return (Path(path) / "labels.npy").is_file()


def load_mapped(path: str | Path) -> Dataset:
    """Rows stay on disk until they are asked for.

    The folder holds ``inputs.npy`` (n, ...), or ``inputs-0.npy``, ``inputs-1.npy``, ... for a model
    of several inputs, ``labels.npy`` (n,), and where wanted ``label_names.npy`` and ``is_test.npy``.

    Raises
    ------
    DataError : a file is missing or no plain ``.npy`` array, or rows do not match
    """
    folder = Path(path)
    files = sorted(folder.glob("inputs*.npy"), key=lambda file: (len(file.name), file.name))
    if not files:
        raise DataError(f"{folder}: has no inputs.npy")
    labels = np.asarray(_map(folder / "labels.npy"))
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"{folder}: labels must be (n,) integers, not {labels.dtype} of shape {labels.shape}")
    names_file, test_file = folder / "label_names.npy", folder / "is_test.npy"
    names = _map(names_file) if names_file.is_file() else np.arange(labels.max(initial=-1) + 1)
    return Dataset(
        folder.name,
        tuple(_map(file) for file in files),
        labels.astype(np.int64),
        tuple(str(name) for name in names),
        np.asarray(_map(test_file)).astype(bool) if test_file.is_file() else np.zeros(len(labels), bool),
        f"mapped from {folder.name}",
    )


def _map(file: Path) -> NDArray[np.generic]:
    try:
        mapped: NDArray[np.generic] = np.load(file, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{file}: not a plain .npy array, or damaged ({error})") from error
    if mapped.ndim == 0:
        raise DataError(f"{file}: must have n rows, but it is a single value")
    return mapped
