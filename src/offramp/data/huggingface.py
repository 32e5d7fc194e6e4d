"""Hugging Face ``datasets``, where that library is installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.data.dataset import Dataset
from offramp.data.delimited import encode_labels, text_column
from offramp.errors import DataError

__all__ = ["load_huggingface"]

#: splits whose rows are test rows, the first that is there and labelled
_TEST = ("test", "validation")


def load_huggingface(name: str, *, label: str = "label", columns: Sequence[str] = ()) -> Dataset:
    """A data set of the ``datasets`` library: a folder written by ``save_to_disk``, or a name of the hub.

    Of a data set with splits, ``train`` and then ``test`` (or ``validation``) are read; the second
    are the test rows.

    Parameters
    ----------
    name : folder, or ``PATH`` or ``PATH/CONFIG`` on the hub
    label : the column of the labels
    columns : the inputs, in order; without them every column of text, of numbers or of images

    Raises
    ------
    DataError : the library is not installed, the data cannot be had, or a column does not fit
    """
    parts, is_test = _parts(name)
    found = parts[0].column_names
    wanted = list(columns) or [c for c in found if c not in (label, "idx", "id", "index")]
    if missing := [column for column in (label, *wanted) if column not in found]:
        raise DataError(f"{name}: has no column {missing[0]!r}; it has {', '.join(found)}")
    inputs = tuple(_column(name, column, [value for part in parts for value in part[column]]) for column in wanted)
    feature = parts[0].features[label]
    values = [value for part in parts for value in part[label]]
    if hasattr(feature, "names"):
        labels, names = np.asarray(values, np.int64), tuple(feature.names)
    else:
        labels, names = encode_labels([str(value) for value in values])
    fixed_test = np.repeat(is_test, [len(part) for part in parts])
    return Dataset(Path(name).name, inputs, labels, names, fixed_test, f"Hugging Face data set {Path(name).name}")


def _parts(name: str) -> tuple[list[Any], list[bool]]:
    try:
        import datasets
    except ImportError as error:
        raise DataError(f"hf:{name}: needs the datasets library; pip install 'offramp[hf]'") from error
    try:
        path, _, config = name.rpartition("/") if name.count("/") == 1 else (name, "", "")
        if Path(name).is_dir():
            loaded = datasets.load_from_disk(name)
        else:
            loaded = datasets.load_dataset(path, config) if config else datasets.load_dataset(name)
    except Exception as error:  # the library and its HTTP client raise classes of their own
        raise DataError(f"hf:{name}: cannot be loaded ({str(error).splitlines()[0]})") from error
    if not isinstance(loaded, dict):
        return [loaded], [False]
    if not (train := [split for split in ("train",) if split in loaded]):
        raise DataError(f"hf:{name}: has no split 'train'; it has {', '.join(loaded)}")
    test = [split for split in _TEST if split in loaded][:1]
    return [loaded[split] for split in (*train, *test)], [False] * len(train) + [True] * len(test)


def _column(name: str, column: str, values: list[Any]) -> NDArray[Any]:
    if all(isinstance(value, str) for value in values):
        return text_column(values)
    try:
        return np.stack([np.asarray(value) for value in values])
    except ValueError as error:
        raise DataError(f"hf:{name}: column {column!r} has rows of different shapes ({error})") from error
