"""The text sets found under ``OFFRAMP_DATA``: SST-2, MRPC and RTE, with the split their files have."""

from __future__ import annotations

import numpy as np

from offramp.data.dataset import Dataset
from offramp.data.delimited import read_columns, text_column
from offramp.data.registry import shared_file
from offramp.errors import DataError

__all__ = ["load_mrpc", "load_rte", "load_sst2"]


def load_sst2() -> Dataset:
    """SST-2: 67,349 train + 872 dev sentences, negative (0) or positive (1); the dev rows are the test."""
    return _load("sst2", ("train", "dev"), ("sentence",), {"0": "negative", "1": "positive"}, "GLUE SST-2")


def load_mrpc() -> Dataset:
    """MRPC: 4,076 train + 1,725 test pairs of sentences, paraphrase (1) or not; the original split, not GLUE's."""
    names = {"0": "not_equivalent", "1": "equivalent"}
    return _load("mrpc", ("train", "test"), ("sentence1", "sentence2"), names, "MRPC (original split)")


def load_rte() -> Dataset:
    """RTE: 2,490 train + 277 dev pairs of sentences, entailment (0) or not; the dev rows are the test."""
    names = {name: name for name in ("entailment", "not_entailment")}
    return _load("rte", ("train", "dev"), ("sentence1", "sentence2"), names, "GLUE RTE")


def _load(
    name: str, parts: tuple[str, str], columns: tuple[str, ...], classes: dict[str, str], description: str
) -> Dataset:
    files = [shared_file(f"{name}_{part}.tsv.gz") for part in parts]
    tables = [read_columns(file) for file in files]
    for file, table in zip(files, tables, strict=True):
        if missing := [column for column in ("label", *columns) if column not in table]:
            raise DataError(f"{file}: not the expected data file (no column {missing[0]!r}); see its SHA256SUMS")
        if unknown := [(row, label) for row, label in enumerate(table["label"]) if label not in classes]:
            row, label = unknown[0]
            raise DataError(f"{file}: row {row} has label {label!r}, but there are {', '.join(classes)}")
    codes = {label: index for index, label in enumerate(classes)}
    return Dataset(
        name,
        tuple(text_column([*tables[0][column], *tables[1][column]]) for column in columns),
        np.array([codes[label] for table in tables for label in table["label"]], np.int64),
        tuple(classes.values()),
        np.repeat([False, True], [len(table["label"]) for table in tables]),
        description,
    )
