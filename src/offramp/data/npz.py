"""A data set of one's own: a NumPy ``.npz`` file."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from offramp.data.arrays import read_arrays
from offramp.data.dataset import Dataset
from offramp.errors import DataError

__all__ = ["load_npz"]


def load_npz(path: Path) -> Dataset:
    """Read ``inputs`` (n, ...), ``labels`` (n,) and, where present, ``label_names`` and ``is_test``.

    Raises
    ------
    DataError : the file is missing, no ``.npz``, lacks an array, or rows do not match
    """
    arrays = read_arrays(path)
    if missing := [key for key in ("inputs", "labels") if key not in arrays]:
        raise DataError(f"{path}: has no array {missing[0]!r}; it holds {', '.join(arrays) or 'nothing'}")
    labels = arrays["labels"]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(f"{path}: labels must be (n,) integers, not {labels.dtype} of shape {labels.shape}")
    if arrays["inputs"].ndim == 0:
        raise DataError(f"{path}: inputs must have n rows, but it is a single value")
    is_test = arrays["is_test"].astype(bool) if "is_test" in arrays else np.zeros(len(labels), bool)
    names = arrays["label_names"] if "label_names" in arrays else np.arange(labels.max(initial=-1) + 1)
    return Dataset(
        path.stem,
        (arrays["inputs"],),
        labels.astype(np.int64),
        tuple(str(name) for name in names),
        is_test,
        f"read from {path.name}",
    )
