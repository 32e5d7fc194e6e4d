"""Finding a data set by name or path."""

from __future__ import annotations

import os
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import cast

from offramp.data.dataset import Dataset
from offramp.errors import DataError

__all__ = ["DATASETS", "data_folder", "load_dataset", "shared_file"]

#: name -> "module:function" of the reader
DATASETS = {
    "digits": "offramp.data.digits:load",
    "cifar10-jpeg": "offramp.data.cifar:load_cifar10_jpeg",
    "cifar100": "offramp.data.cifar:load_cifar100",
}


def data_folder() -> Path | None:
    """Where the standard data sets lie: ``OFFRAMP_DATA``, else ``../shared/data`` when present."""
    if configured := os.environ.get("OFFRAMP_DATA"):
        return Path(configured)
    default = Path("../shared/data")
    return default if default.is_dir() else None


def shared_file(name: str) -> Path:
    """A file of the data folder.

    Raises
    ------
    DataError : no folder is configured, or the file is not in it
    """
    folder = data_folder()
    if folder is None:
        raise DataError(f"{name}: no data folder; set OFFRAMP_DATA to the folder that holds it")
    file = folder / name
    if not file.is_file():
        raise DataError(f"{file}: no such file; OFFRAMP_DATA must name the folder that holds {name}")
    return file


def load_dataset(name: str) -> Dataset:
    """Load a data set by name (see `DATASETS`) or from a ``.npz`` file with ``inputs`` and ``labels``.

    Raises
    ------
    DataError : unknown name, missing file, or a file of another format

    Examples
    --------
    >>> len(load_dataset("digits"))
    1797
    """
    if name in DATASETS:
        module, _, function = DATASETS[name].partition(":")
        return cast("Callable[[], Dataset]", getattr(import_module(module), function))()
    if name.endswith(".npz"):
        from offramp.data.npz import load_npz

        return load_npz(Path(name))
    near = get_close_matches(name, DATASETS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise DataError(f"unknown data set {name!r}; {hint}known are {', '.join(DATASETS)} and paths ending in .npz")
