"""Rows of records as an Arrow table: what a records file holds."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.records.compact import Compact, pack, unpack

__all__ = ["FORMS", "Form", "check_form", "from_table", "to_table"]

#: logits in full as float32 or float16, or the compact form for many classes
Form = Literal["float32", "float16", "compact"]
FORMS: tuple[Form, ...] = get_args(Form)


def check_form(form: str) -> Form:
    """The form of that name.

    Raises
    ------
    ConfigError : there is none
    """
    for known in FORMS:
        if form == known:
            return known
    raise ConfigError(f"logits are stored as {', '.join(FORMS)}, not {form!r}")


def to_table(
    logits: NDArray[np.float32], labels: NDArray[np.int64], split: NDArray[np.str_], row: NDArray[np.int64], form: Form
) -> Any:
    """An Arrow table of n rows.

    Parameters
    ----------
    logits : (E, n, K)
    labels, split, row : (n,)
    form : how the logits are stored

    Raises
    ------
    ConfigError : the compact form of too few classes
    """
    import pyarrow as pa

    columns = {
        "row": pa.array(row),
        "split": pa.array(split.tolist(), pa.dictionary(pa.int8(), pa.string())),
        "label": pa.array(labels),
    }
    for index, values in enumerate(logits):
        if form == "compact":
            columns |= _compact_columns(index, pack(values, labels), values.shape[1])
        else:
            columns[f"logits_{index}"] = _fixed(values.astype(form))
    return pa.table(columns)


def from_table(table: Any, exits: int, classes: int | None) -> NDArray[np.float32]:
    """Logits (E, n, K); log-probabilities where the table holds the compact form.

    Parameters
    ----------
    table : made by `to_table`
    exits : E
    classes : K of the compact form, ``None`` for logits in full

    Raises
    ------
    KeyError : a column is missing
    ValueError : a column does not fit
    """
    if classes is None:
        return np.stack([_matrix(table[f"logits_{index}"]).astype(np.float32) for index in range(exits)])
    labels = table["label"].to_numpy()
    return np.stack([unpack(_read_compact(table, index, classes), labels, classes) for index in range(exits)])


def _compact_columns(index: int, packed: Compact, classes: int) -> dict[str, Any]:
    import pyarrow as pa

    narrow = np.uint8 if classes <= 256 else np.uint16 if classes <= 65536 else np.uint32
    whole = np.zeros(len(packed.classes), np.int64)
    whole[packed.whole] = classes
    offsets = np.concatenate([[0], np.cumsum(whole)]).astype(np.int32)
    return {
        f"classes_{index}": _fixed(packed.classes.astype(narrow)),
        f"log_p_{index}": _fixed(packed.log_p),
        f"label_log_p_{index}": pa.array(packed.label_log_p),
        f"counts_{index}": _fixed(packed.counts.astype(narrow)),
        f"depths_{index}": _fixed(packed.depths),
        f"whole_{index}": pa.ListArray.from_arrays(pa.array(offsets), pa.array(packed.whole_log_p.ravel())),
    }


def _read_compact(table: Any, index: int, classes: int) -> Compact:
    whole = table[f"whole_{index}"].combine_chunks()
    return Compact(
        classes=_matrix(table[f"classes_{index}"]).astype(np.int64),
        log_p=_matrix(table[f"log_p_{index}"]),
        label_log_p=table[f"label_log_p_{index}"].to_numpy(),
        counts=_matrix(table[f"counts_{index}"]).astype(np.int64),
        depths=_matrix(table[f"depths_{index}"]),
        whole=np.flatnonzero(whole.value_lengths().to_numpy()),
        whole_log_p=whole.flatten().to_numpy().reshape(-1, classes),
    )


def _fixed(values: NDArray[np.generic]) -> Any:
    """(n, m) as a column of fixed-size lists."""
    import pyarrow as pa

    return pa.FixedSizeListArray.from_arrays(pa.array(np.ascontiguousarray(values).ravel()), values.shape[1])


def _matrix(column: Any) -> NDArray[Any]:
    """(n, m) of a column of fixed-size lists."""
    flat: NDArray[Any] = column.combine_chunks().flatten().to_numpy()
    return flat.reshape(len(column), column.type.list_size)
