"""The arrays of a NumPy ``.npz`` file, nothing unpickled."""

from __future__ import annotations

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.errors import DataError

__all__ = ["read_arrays"]


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Every array of the file, by name.

    Raises
    ------
    DataError : the file is missing, no ``.npz``, damaged, or holds pickled objects
    """
    if not path.is_file():
        raise DataError(f"{path}: no such data file")
    try:
        with path.open("rb") as file:
            stored = np.load(file, allow_pickle=False)
            if isinstance(stored, np.ndarray):
                raise DataError(f"{path}: a single array, not a NumPy .npz file; write it with numpy.savez")
            with stored:
                return {name: stored[name] for name in stored.files}
    except (zipfile.BadZipFile, zlib.error, ValueError, OSError, EOFError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not a NumPy .npz file with plain arrays, or damaged ({error})") from error
