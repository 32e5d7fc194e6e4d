"""Routing features of the CIFAR images: statistics of their pixels, made once and committed.

``python -m studies.router.features`` makes ``cifar10.npz`` and ``cifar100.npz`` again from the images
(``OFFRAMP_DATA``); the text features are those of the study ``dimee``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.errors import RecordMismatch
from offramp.policies.thumbnails import thumbnail_features
from offramp.records.records import Records, load_records
from studies.dimee.features import load_features

__all__ = ["EXAMPLES", "SETS", "features_of"]

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDER = Path(__file__).parent
COMMAND = "python -m studies.router.features"
#: file, data set, and the example whose rows they are
SETS = {"cifar10": ("cifar10-jpeg", "resnet8-cifar10"), "cifar100": ("cifar100", "pair-cifar100")}


def features_of(name: str, records: Records, folder: Path = FOLDER) -> NDArray[np.float32]:
    """(n, d) of the rows of records.

    Parameters
    ----------
    name : of the set: ``cifar10``, ``cifar100``, or a text set of the study ``dimee``
    records : whose rows
    folder : of the files

    Raises
    ------
    RecordMismatch : the file is missing, or of other rows
    """
    if name not in SETS:
        return load_features(name).of(records)
    file = folder / f"{name}.npz"
    if not file.is_file():
        raise RecordMismatch(f"{file.name}: no routing features; make them with {COMMAND!r}")
    with np.load(file) as arrays:
        rows, matrix = arrays["row"], arrays["features"]
    if not np.array_equal(rows, records.row):
        raise RecordMismatch(f"{file.name}: these are of other rows than the records; make them with {COMMAND!r}")
    return np.asarray(matrix, np.float32)


def main() -> None:
    """Make the features of both sets."""
    from offramp.data.registry import load_dataset

    for name, (data, example) in SETS.items():
        records = load_records(EXAMPLES / example / "records" / "fp32.parquet")
        images = load_dataset(data).inputs[0]
        matrix = thumbnail_features(np.asarray(images[records.row])).astype(np.float16)
        np.savez_compressed(FOLDER / f"{name}.npz", row=records.row.astype(np.int32), features=matrix)
        print(f"{name}.npz: {matrix.shape}")


if __name__ == "__main__":
    main()
