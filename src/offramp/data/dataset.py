"""The one shape of a data set, and the one split of its rows."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.data.source import RowSource
from offramp.errors import DataError

__all__ = ["SPLITS", "Dataset", "split_rows"]

#: train: weights; tune: thresholds and temperatures; calibrate: certificates; test: reports. Never mixed.
SPLITS = ("train", "tune", "calibrate", "test")


@dataclass(frozen=True)
class Dataset:
    """Labelled rows.

    ``inputs`` are arrays of n rows each, in the order of the model's arguments; they may be
    memory-mapped. Text is a column of ``str`` (dtype object), one for each sentence, as published:
    the tokeniser belongs to the cascade. ``labels`` (n,) int64; ``fixed_test`` (n,) bool marks rows
    the publisher set aside for testing (all False where he did not).
    """

    name: str
    inputs: tuple[NDArray[Any], ...]
    labels: NDArray[np.int64]
    label_names: tuple[str, ...]
    fixed_test: NDArray[np.bool_]
    description: str = ""

    def __post_init__(self) -> None:
        rows = len(self.labels)
        for index, array in enumerate(self.inputs):
            if len(array) != rows:
                raise DataError(f"{self.name}: input {index} has {len(array)} rows, but there are {rows} labels")
        if len(self.fixed_test) != rows:
            raise DataError(f"{self.name}: fixed_test has {len(self.fixed_test)} rows, not {rows}")
        if rows and (self.labels.min() < 0 or self.labels.max() >= len(self.label_names)):
            bad = int(np.flatnonzero((self.labels < 0) | (self.labels >= len(self.label_names)))[0])
            raise DataError(
                f"{self.name}: row {bad} has label {self.labels[bad]}, "
                f"but there are {len(self.label_names)} classes (0..{len(self.label_names) - 1})"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def rows(self, index: NDArray[np.intp]) -> tuple[NDArray[Any], ...]:
        """The chosen rows of every input."""
        return tuple(array[index] for array in self.inputs)

    @property
    def sha256(self) -> str:
        """sha256 over dtype, shape and bytes of every input and of the labels; text counts as UTF-8."""
        digest = hashlib.sha256()
        for array in (*self.inputs, self.labels):
            digest.update(f"{array.dtype.str}{array.shape}".encode())
            if array.dtype == object:
                for text in array:
                    encoded = text.encode()
                    digest.update(len(encoded).to_bytes(8, "little") + encoded)
            else:
                digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()


def split_rows(dataset: RowSource, seed: int, tune: float, calibrate: float, test: float = 0.0) -> NDArray[np.str_]:
    """Assign every row to train, tune, calibrate or test, once and reproducibly.

    Parameters
    ----------
    dataset : where it has ``fixed_test`` rows, these are the test rows and ``test`` must be 0
    seed : of the permutation
    tune, calibrate, test : shares of the rows that are not fixed; what is left is train

    Returns
    -------
    (n,) array of split names

    Raises
    ------
    DataError : shares below 0 or adding up to 1 or more, or ``test`` given beside fixed test rows

    Examples
    --------
    >>> rows = Dataset("d", (np.zeros((10, 1)),), np.zeros(10, int), ("a", "b"), np.zeros(10, bool))
    >>> split = split_rows(rows, 0, 0.2, 0.2, 0.1)
    >>> {name: int((split == name).sum()) for name in SPLITS}
    {'train': 5, 'tune': 2, 'calibrate': 2, 'test': 1}
    """
    if min(tune, calibrate, test) < 0 or tune + calibrate + test >= 1:
        raise DataError(
            f"{dataset.name}: the shares tune={tune}, calibrate={calibrate}, test={test} "
            "must be zero or more and leave rows for training"
        )
    if test and dataset.fixed_test.any():
        raise DataError(f"{dataset.name}: has its own test rows; set test = 0")
    free = np.flatnonzero(~dataset.fixed_test)
    order = np.random.default_rng(seed).permutation(free)
    split = np.full(len(dataset), "train", dtype="<U9")
    split[dataset.fixed_test] = "test"
    begin = 0
    for name, share in (("tune", tune), ("calibrate", calibrate), ("test", test)):
        end = begin + round(share * len(free))
        split[order[begin:end]] = name
        begin = end
    return split
