"""A data set of one's own: a NumPy ``.npz`` file."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from offramp.data.dataset import Dataset
from offramp.errors import DataError

__all__ = ["load_npz"]


def load_npz(path: Path) -> Dataset:
    """Read ``inputs`` (n, ...), ``labels`` (n,) and, where present, ``label_names`` and ``is_test``.

    Raises
    ------
    DataError : the file is missing, no ``.npz``, lacks an array, or rows do not match
    """
    if not path.is_file():
        raise DataError(f"{path}: no such data file")
    try:
        with np.load(path, allow_pickle=False) as arrays:
            missing = [key for key in ("inputs", "labels") if key not in arrays]
            if missing:
                raise DataError(f"{path}: has no array {missing[0]!r}; it holds {', '.join(arrays) or 'nothing'}")
            inputs, labels = arrays["inputs"], arrays["labels"].astype(np.int64)
            names = arrays.get("label_names", None)
            is_test = arrays["is_test"].astype(bool) if "is_test" in arrays else np.zeros(len(labels), bool)
    except (zipfile.BadZipFile, ValueError, OSError, EOFError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{path}: not a NumPy .npz file with plain arrays ({error})") from error
    count = int(labels.max()) + 1 if len(labels) else 0
    label_names = tuple(str(n) for n in names) if names is not None else tuple(str(i) for i in range(count))
    return Dataset(path.stem, (inputs,), labels, label_names, is_test, f"read from {path.name}")
