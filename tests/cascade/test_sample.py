"""Rows that a cascade cannot take are refused with what, where and which rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from offramp.cascade.manifest import Manifest, TensorSpec
from offramp.cascade.sample import check_rows
from offramp.cascade.store import open_cascade
from offramp.errors import SampleError
from tests.support.tiny import tiny_rows


@pytest.fixture
def manifest(tiny_cascade: Path) -> Manifest:
    return open_cascade(tiny_cascade).manifest


def _with_row(row: int, value: float) -> NDArray[np.float32]:
    x = tiny_rows(5)
    x[row, 2] = value
    return x


def test_good_rows_are_handed_back(manifest: Manifest) -> None:
    x = tiny_rows(3)
    (back,) = check_rows(manifest, [x])
    assert back is x
    check_rows(manifest, [np.asfortranarray(x)])


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        ([], "takes 1 inputs .x., but 0 were given"),
        ([tiny_rows(1), tiny_rows(1)], "but 2 were given"),
        ([tiny_rows(2).astype(np.float64)], "input 'x': expected dtype float32, but found float64"),
        ([tiny_rows(2).astype(np.uint8)], "expected dtype float32, but found uint8"),
        ([tiny_rows(2).astype(">f4")], "float32 in foreign byte order"),
        ([tiny_rows(2)[:, :3]], r"expected shape \(rows, 4\), but found \(2, 3\)$"),
        ([tiny_rows(1)[0]], r"expected shape \(rows, 4\), but found \(4,\); add the row dimension"),
        ([np.array(1, np.float32)], r"but found \(\)"),
        ([tiny_rows(2)[:, :, None]], r"but found \(2, 4, 1\)"),
        ([tiny_rows(0)], "have no rows; at least one is needed"),
        ([_with_row(3, np.nan)], "input 'x': row 3 holds NaN or infinity"),
        ([_with_row(0, np.inf)], "row 0 holds NaN or infinity"),
        ([[[1.0, 2.0, 3.0, 4.0]]], "expected a NumPy array, but found list"),
    ],
)
def test_what_is_refused(manifest: Manifest, inputs: list[Any], words: str) -> None:
    with pytest.raises(SampleError, match=words):
        check_rows(manifest, inputs)


def test_several_inputs_of_any_length(manifest: Manifest) -> None:
    specs = tuple(TensorSpec(name=n, dtype="int64", shape=(None, None)) for n in ("ids", "mask"))
    text = manifest.model_copy(update={"inputs": specs})
    check_rows(text, [np.zeros((2, 7), np.int64), np.ones((2, 7), np.int64)])
    with pytest.raises(SampleError, match="different numbers of rows: 2, 3"):
        check_rows(text, [np.zeros((2, 7), np.int64), np.ones((3, 7), np.int64)])
    with pytest.raises(SampleError, match=r"input 'mask': expected shape \(rows, any\), but found \(2,\)"):
        check_rows(text, [np.zeros((2, 7), np.int64), np.ones(2, np.int64)])
