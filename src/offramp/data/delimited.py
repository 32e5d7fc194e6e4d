"""Data sets in CSV and TSV files, plain or gzipped."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import numpy as np
from numpy.typing import NDArray

from offramp.data.dataset import Dataset
from offramp.errors import DataError

__all__ = ["DELIMITED_SUFFIXES", "encode_labels", "load_delimited", "read_columns", "text_column"]

DELIMITED_SUFFIXES = (".csv", ".csv.gz", ".tsv", ".tsv.gz")


def load_delimited(path: str | Path, *, label: str = "label", text: Sequence[str] = ()) -> Dataset:
    """A table with a header: numbers, or text, and a label.

    A column ``is_test`` (0 or 1) marks rows set aside for testing.

    Parameters
    ----------
    path : ``.csv`` (commas, quotes as usual) or ``.tsv`` (tabs, quotes are plain characters), also ``.gz``
    label : column of the labels: integers from 0, or names (classes in alphabetical order)
    text : columns of text, each one input; without them all other columns are numbers and one input
        (n, columns) float32

    Raises
    ------
    DataError : missing or damaged file, a missing column, a row of another length, or no number
    """
    file = Path(path)
    columns = read_columns(file)
    rest = [name for name in columns if name not in (label, "is_test")]
    if missing := [name for name in (label, *text) if name not in columns]:
        raise DataError(f"{file}: has no column {missing[0]!r}; it has {', '.join(columns)}")
    if not text and not rest:
        raise DataError(f"{file}: has no column beside {label!r}")
    if text:
        inputs: tuple[NDArray[np.generic], ...] = tuple(text_column(columns[name]) for name in text)
    else:
        inputs = (np.stack([_numbers(file, name, columns[name]) for name in rest], axis=1),)
    labels, names = encode_labels(columns[label])
    flags = columns.get("is_test")
    is_test = np.zeros(len(labels), bool) if flags is None else _numbers(file, "is_test", flags).astype(bool)
    return Dataset(file.name.split(".")[0], inputs, labels, names, is_test, f"read from {file.name}")


def read_columns(file: Path) -> dict[str, list[str]]:
    """The columns of a table, by the names in its first line.

    Raises
    ------
    DataError : no such file, damaged, no rows, a name twice, or a row of another length
    """
    if not file.is_file():
        raise DataError(f"{file}: no such data file")
    try:
        with _open(file) as stream:
            lines = list(_reader(file, stream))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{file}: not a UTF-8 table, or damaged ({error})") from error
    lines = [line for line in lines if line]
    if len(lines) < 2:
        raise DataError(f"{file}: needs a line of column names and at least one row")
    header, rows = lines[0], lines[1:]
    if len(set(header)) != len(header):
        raise DataError(f"{file}: a column name occurs twice in {', '.join(header)}")
    for index, row in enumerate(rows):
        if len(row) != len(header):
            raise DataError(f"{file}: row {index} has {len(row)} values, but there are {len(header)} columns")
    return {name: list(column) for name, column in zip(header, zip(*rows, strict=True), strict=True)}


def text_column(values: Sequence[str]) -> NDArray[np.object_]:
    """(n,) array of ``str``, one for each row.

    Examples
    --------
    >>> text_column(["a tie", "a win"])
    array(['a tie', 'a win'], dtype=object)
    """
    column = np.empty(len(values), dtype=object)
    column[:] = list(values)
    return column


def encode_labels(values: Sequence[str]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Labels as numbers from 0, and the names of the classes.

    Examples
    --------
    >>> encode_labels(["cat", "dog", "cat"])
    (array([0, 1, 0]), ('cat', 'dog'))
    >>> encode_labels(["2", "0"])
    (array([2, 0]), ('0', '1', '2'))
    """
    try:
        numbers = np.array([int(value) for value in values], np.int64)
    except ValueError:
        names, codes = np.unique(np.asarray(values, dtype=str), return_inverse=True)
        return codes.astype(np.int64), tuple(str(name) for name in names)
    return numbers, tuple(str(index) for index in range(int(numbers.max()) + 1))


def _open(file: Path) -> TextIO:
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8", newline="")
    return file.open(encoding="utf-8", newline="")


def _reader(file: Path, stream: TextIO) -> Iterator[list[str]]:
    if ".tsv" in file.suffixes:
        return csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE)
    return csv.reader(stream, strict=True)


def _numbers(file: Path, name: str, values: Sequence[str]) -> NDArray[np.float32]:
    try:
        return np.array(values, dtype=np.float32)
    except ValueError:
        for index, value in enumerate(values):
            if not _is_number(value):
                raise DataError(
                    f"{file}: column {name!r}, row {index} holds {value!r}, which is no number; "
                    "name the columns of text with text="
                ) from None
        raise


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True
