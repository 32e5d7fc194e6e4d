"""Fronts and prunings against their definitions."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from offramp.confidence.cells import rising_cells
from offramp.planning.pareto import pareto_front, thin, undominated_rows

small = st.integers(0, 5).map(float)


@given(points=st.lists(st.tuples(small, small), min_size=1, max_size=30))
def test_front_is_exactly_the_undominated_points(points: list[tuple[float, float]]) -> None:
    cost, value = np.array(points).T
    front = pareto_front(cost, value)
    expected = {(c, v) for c, v in points if not any(oc <= c and ov >= v and (oc, ov) != (c, v) for oc, ov in points)}
    found = [(cost[i], value[i]) for i in front]
    assert set(found) == expected
    assert found == sorted(found)
    assert len(found) == len(set(found))


@given(rows=st.lists(st.lists(small, min_size=3, max_size=3), min_size=1, max_size=20))
def test_every_row_is_covered_by_a_kept_one(rows: list[list[float]]) -> None:
    costs = np.array(rows)
    kept = undominated_rows(costs)
    for row in costs:
        assert (costs[kept] <= row).all(1).any()
    for index in kept:
        others = np.setdiff1d(kept, [index])
        assert not (costs[others] <= costs[index]).all(1).any()


@given(seed=st.integers(0, 999), shape=st.lists(st.integers(1, 5), min_size=0, max_size=3))
def test_rising_cells_exceed_all_below(seed: int, shape: list[int]) -> None:
    values = np.random.default_rng(seed).integers(0, 6, shape)
    kept = set(rising_cells(values).tolist())
    cells = list(np.ndindex(*shape))
    for index, cell in enumerate(cells):
        below = [c for c in cells if c != cell and all(a <= b for a, b in zip(c, cell, strict=True))]
        assert (index in kept) == all(values[c] < values[cell] for c in below)


@given(length=st.integers(1, 500), most=st.integers(3, 50), seed=st.integers(0, 99))
def test_thinning_keeps_the_ends_and_the_marked_point(length: int, most: int, seed: int) -> None:
    keep = np.zeros(length, bool)
    keep[seed % length] = True
    left = thin(np.arange(length), most, keep)
    assert len(left) <= most
    assert {0, length - 1, seed % length} <= set(left.tolist()) or length > most
    assert seed % length in left
