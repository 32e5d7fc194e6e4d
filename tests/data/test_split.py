"""One split of the rows: disjoint, exact, reproducible."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from offramp.data.dataset import SPLITS, Dataset, split_rows
from offramp.errors import DataError


def dataset(rows: int, fixed: int = 0) -> Dataset:
    fixed_test = np.arange(rows) >= rows - fixed
    return Dataset("d", (np.arange(rows)[:, None],), np.zeros(rows, np.int64), ("a", "b"), fixed_test)


shares = st.floats(0, 0.33)


def sizes(split: NDArray[np.str_]) -> dict[str, int]:
    return {name: int((split == name).sum()) for name in SPLITS}


@given(rows=st.integers(1, 400), seed=st.integers(0, 2**32), tune=shares, calibrate=shares, test=shares)
def test_every_row_is_in_one_split_of_the_asked_size(
    rows: int, seed: int, tune: float, calibrate: float, test: float
) -> None:
    split = split_rows(dataset(rows), seed, tune, calibrate, test)
    found = sizes(split)
    assert sum(found.values()) == rows
    assert [found["tune"], found["calibrate"], found["test"]] == [round(s * rows) for s in (tune, calibrate, test)]
    np.testing.assert_array_equal(split, split_rows(dataset(rows), seed, tune, calibrate, test))


@given(rows=st.integers(2, 400), fixed=st.integers(1, 400), seed=st.integers(0, 99), tune=shares, calibrate=shares)
def test_rows_set_aside_by_the_publisher_are_the_test_rows(
    rows: int, fixed: int, seed: int, tune: float, calibrate: float
) -> None:
    data = dataset(rows, min(fixed, rows))
    split = split_rows(data, seed, tune, calibrate)
    np.testing.assert_array_equal(split == "test", data.fixed_test)
    assert sizes(split)["tune"] == round(tune * (~data.fixed_test).sum())


def test_another_seed_is_another_split() -> None:
    data = dataset(200)
    assert (split_rows(data, 0, 0.3, 0.3) != split_rows(data, 1, 0.3, 0.3)).any()


def test_a_larger_last_share_leaves_the_first_alone() -> None:
    small, large = (split_rows(dataset(100), 3, 0.2, 0.2, test) for test in (0.1, 0.3))
    np.testing.assert_array_equal(small == "tune", large == "tune")
    np.testing.assert_array_equal(small == "calibrate", large == "calibrate")


@pytest.mark.parametrize("bad", [(-0.1, 0.2, 0.2), (0.5, 0.3, 0.2), (0.9, 0.9, 0.0)])
def test_shares_must_leave_rows_for_training(bad: tuple[float, float, float]) -> None:
    with pytest.raises(DataError, match="must be zero or more and leave rows for training"):
        split_rows(dataset(10), 0, *bad)


def test_a_test_share_beside_fixed_test_rows() -> None:
    with pytest.raises(DataError, match="has its own test rows; set test = 0"):
        split_rows(dataset(10, fixed=3), 0, 0.1, 0.1, 0.1)
