"""Rows to measure with: the inputs, and the tensors at every cut."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.manifest import Manifest, TensorSpec
from offramp.cascade.sample import check_rows
from offramp.cascade.segment import Segment

__all__ = ["Rows", "batches_of", "input_arrays", "tensors_at_cuts", "typical_row"]

#: rows of the random input, and the size of dimensions that are dynamic beside the batch
_RANDOM_ROWS, _DYNAMIC_SIZE = 16, 32

Array = NDArray[Any]
Rows = Sequence[tuple[Array, ...]]  # one tuple of tensors for each row or batch


def tensors_at_cuts(segments: Sequence[Segment], inputs: Rows) -> list[Rows]:
    """For every segment the tensors it is handed, row by row or batch by batch: real features, not random ones."""
    cuts: list[Rows] = [inputs]
    for segment in segments[:-1]:
        restarts = segment.spec.hand_over == "input"
        cuts.append(inputs if restarts else [segment.run(row).hand_over for row in cuts[-1]])
    return cuts


def input_arrays(manifest: Manifest, samples: str | Path | None) -> tuple[Array, ...]:
    """Rows from an ``.npz`` as `numpy.savez` names them, or random ones.

    Raises
    ------
    SampleError : the rows do not fit the cascade
    """
    if samples is None:
        rng = np.random.default_rng(0)
        inputs = [_random_rows(spec, rng) for spec in manifest.inputs]
    else:
        with np.load(Path(samples), allow_pickle=False) as stored:
            inputs = [stored[f"arr_{i}"] for i in range(len(stored.files))]
    return check_rows(manifest, inputs)


def batches_of(manifest: Manifest, arrays: Sequence[Array], size: int) -> Rows:
    """All rows in batches of this size, some rows again where they do not fill the last one; of text without
    the padding that all rows of a batch share."""
    rows = len(arrays[0])
    batches = []
    for start in range(0, rows, size):
        chosen = np.arange(start, start + size) % rows
        batch = tuple(array[chosen] for array in arrays)
        if manifest.tokenizer is not None:
            length = max(1, int(batch[1].sum(1).max()))
            batch = tuple(each[:, :length] for each in batch)
        batches.append(batch)
    return batches


def typical_row(rows: Rows) -> tuple[Array, ...]:
    """A row of median size: texts differ in length."""
    order = np.argsort([sum(tensor.size for tensor in row) for row in rows], kind="stable")
    return rows[int(order[len(rows) // 2])]


def _random_rows(spec: TensorSpec, rng: np.random.Generator) -> Array:
    shape = (_RANDOM_ROWS, *(_DYNAMIC_SIZE if size is None else size for size in spec.row_shape))
    if spec.dtype.startswith("float"):
        return rng.normal(0, 1, shape).astype(spec.dtype)
    return rng.integers(0, 256 if spec.dtype == "uint8" else 2, shape).astype(spec.dtype)
