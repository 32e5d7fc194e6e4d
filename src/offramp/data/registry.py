"""Finding a data set by name or path."""

from __future__ import annotations

import os
from collections.abc import Callable
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np

from offramp.data.dataset import Dataset
from offramp.data.delimited import DELIMITED_SUFFIXES, load_delimited
from offramp.data.mapped import is_mapped_folder, load_mapped
from offramp.data.shift import ShiftedRows, parse_shift
from offramp.data.source import RowSource
from offramp.errors import DataError

__all__ = ["DATASETS", "data_folder", "load_dataset", "load_source", "names_file", "shared_file"]

#: name -> "module:function" of the reader
DATASETS = {
    "digits": "offramp.data.digits:load",
    "cifar10-jpeg": "offramp.data.cifar:load_cifar10_jpeg",
    "cifar10-exact-subset": "offramp.data.cifar:load_cifar10_exact_subset",
    "cifar100": "offramp.data.cifar:load_cifar100",
    "cifar100-coarse": "offramp.data.cifar:load_cifar100_coarse",
    "mrpc": "offramp.data.glue:load_mrpc",
    "rte": "offramp.data.glue:load_rte",
    "sst2": "offramp.data.glue:load_sst2",
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
    """Load a data set by name (see `DATASETS`) or from files.

    ========================  ==================================================================
    ``NAME``                  one of `DATASETS`
    ``FILE.npz``              arrays ``inputs`` and ``labels``
    ``FILE.csv``, ``.tsv``    a table, also ``.gz``; options ``label=COLUMN``, ``text=COLUMN,COLUMN``
    ``FOLDER``                images, a sub-folder for each class; options ``size=PIXELS``,
                              ``on_error=skip``; or ``.npy`` files, mapped
    ``hf:NAME``               a Hugging Face data set; options ``label=COLUMN``, ``columns=COLUMN,COLUMN``
    ========================  ==================================================================

    Options follow the name as in an address: ``reviews.tsv?label=stars&text=title,body``. A shift
    follows at the end: ``cifar10-jpeg+blur1.5``; see `load_source`, which does not shift every row.

    Raises
    ------
    DataError : unknown name or option, missing file, or a file of another format

    Examples
    --------
    >>> len(load_dataset("digits"))
    1797
    """
    base, shift = parse_shift(name)
    if shift is None:
        return _load(name)
    source = ShiftedRows(_load(base), shift)
    every = source.rows(np.arange(len(source)))
    return Dataset(source.name, every, source.labels, source.label_names, source.fixed_test, f"{base}, shifted")


def load_source(name: str) -> RowSource:
    """The same, but the rows of a shifted set are computed when they are read.

    Raises
    ------
    DataError : as `load_dataset`
    """
    base, shift = parse_shift(name)
    return _load(base) if shift is None else ShiftedRows(_load(base), shift)


def names_file(name: str) -> bool:
    """Whether a data set's name is the path of a file or folder.

    Examples
    --------
    >>> names_file("digits"), names_file("flowers.csv?label=species"), names_file("hf:glue/sst2")
    (False, True, False)
    """
    base = parse_shift(name)[0]
    return base not in DATASETS and not base.startswith("hf:")


def _load(name: str) -> Dataset:
    if name in DATASETS:
        module, _, function = DATASETS[name].partition(":")
        return cast("Callable[[], Dataset]", getattr(import_module(module), function))()
    path, _, query = name.partition("?")
    if path.startswith("hf:"):
        from offramp.data.huggingface import load_huggingface

        options = _options(name, query, "label", "columns")
        columns = options.get("columns", "").split(",") if "columns" in options else ()
        return load_huggingface(path.removeprefix("hf:"), label=options.get("label", "label"), columns=columns)
    if path.endswith(".npz"):
        from offramp.data.npz import load_npz

        _options(name, query)
        return load_npz(Path(path))
    if path.endswith(DELIMITED_SUFFIXES):
        options = _options(name, query, "label", "text")
        text = options["text"].split(",") if "text" in options else ()
        return load_delimited(path, label=options.get("label", "label"), text=text)
    if Path(path).is_dir():
        return _load_folder(name, path, query)
    near = get_close_matches(path, DATASETS, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise DataError(
        f"unknown data set {name!r}; {hint}known are {', '.join(DATASETS)}, hf:NAME, "
        f"and paths of folders and of files ending in {', '.join(('.npz', *DELIMITED_SUFFIXES))}"
    )


def _load_folder(name: str, path: str, query: str) -> Dataset:
    if is_mapped_folder(path):
        _options(name, query)
        return load_mapped(path)
    from offramp.data.images import load_image_folder

    options = _options(name, query, "size", "on_error")
    size = options.get("size")
    if size is not None and not (size.isdecimal() and int(size)):
        raise DataError(f"{name}: size must be a number of pixels, not {size!r}")
    return load_image_folder(path, size=None if size is None else int(size), on_error=options.get("on_error", "stop"))


def _options(name: str, query: str, *known: str) -> dict[str, str]:
    options = {}
    for item in filter(None, query.split("&")):
        key, _, value = item.partition("=")
        if key not in known or not value:
            told = f"the options here are {', '.join(f'{k}=' for k in known)}" if known else "there are no options here"
            raise DataError(f"{name}: cannot read the option {item!r}; {told}")
        options[key] = value
    return options
