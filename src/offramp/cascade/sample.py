"""Checking rows before a cascade runs them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.manifest import Manifest, TensorSpec
from offramp.errors import SampleError

__all__ = ["check_rows"]

Array = NDArray[Any]


def check_rows(manifest: Manifest, inputs: Sequence[Array]) -> tuple[Array, ...]:
    """The rows, if the cascade can take them.

    Parameters
    ----------
    manifest : what the cascade's inputs must look like
    inputs : one array of n rows for each input, in order

    Raises
    ------
    SampleError : another number of inputs, wrong dtype or shape, no row, NaN or infinity

    Examples
    --------
    >>> from offramp.cascade.store import open_cascade
    >>> manifest = open_cascade(getfixture("tiny_cascade")).manifest
    >>> check_rows(manifest, [np.zeros((2, 5), np.float32)])
    Traceback (most recent call last):
    offramp.errors.SampleError: input 'x': expected shape (rows, 4), but found (2, 5)
    """
    if len(inputs) != len(manifest.inputs):
        names = ", ".join(spec.name for spec in manifest.inputs)
        raise SampleError(
            f"cascade {manifest.name!r} takes {len(manifest.inputs)} inputs ({names}), but {len(inputs)} were given"
        )
    for spec, array in zip(manifest.inputs, inputs, strict=True):
        _check(spec, array)
    rows = {len(array) for array in inputs}
    if len(rows) != 1:
        raise SampleError(f"the inputs have different numbers of rows: {', '.join(str(len(a)) for a in inputs)}")
    if rows == {0}:
        raise SampleError("the inputs have no rows; at least one is needed")
    return tuple(inputs)


def _check(spec: TensorSpec, array: Array) -> None:
    if not isinstance(array, np.ndarray):
        raise SampleError(f"input {spec.name!r}: expected a NumPy array, but found {type(array).__name__}")
    if array.dtype != spec.dtype:
        raise SampleError(f"input {spec.name!r}: expected dtype {spec.dtype}, but found {_dtype_text(array)}")
    if not _fits(spec, array):
        hint = "; add the row dimension: array[None]" if array.ndim == len(spec.shape) - 1 else ""
        raise SampleError(f"input {spec.name!r}: expected shape {_shape_text(spec)}, but found {array.shape}{hint}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        row = int(np.flatnonzero(~np.isfinite(array).reshape(len(array), -1).all(1))[0])
        raise SampleError(f"input {spec.name!r}: row {row} holds NaN or infinity")


def _fits(spec: TensorSpec, array: Array) -> bool:
    if array.ndim == 0 or array.ndim != len(spec.shape):
        return False
    wanted, found = spec.shape[1:], array.shape[1:]
    return wanted == found or all(w is None or w == f for w, f in zip(wanted, found, strict=True))


def _shape_text(spec: TensorSpec) -> str:
    sizes = ["any" if size is None else str(size) for size in spec.shape[1:]]
    return f"({', '.join(['rows', *sizes])})"


def _dtype_text(array: Array) -> str:
    return array.dtype.name if array.dtype.isnative else f"{array.dtype.name} in foreign byte order"
