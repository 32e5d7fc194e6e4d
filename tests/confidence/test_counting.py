"""Counting over settings: the grid at once equals one setting at a time."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from offramp.confidence.counting import GridCounter, ListCounter, exits_taken
from offramp.confidence.settings import threshold_grid


@given(st.integers(0, 3), st.integers(1, 40), st.integers(0, 2**32 - 1))
def test_grid_list_and_plain_loop_agree(early: int, rows: int, seed: int) -> None:
    draw = np.random.default_rng(seed)
    score = draw.random((early, rows)).astype(np.float32).round(1)
    values = draw.random((early + 1, rows)) < 0.4
    grid = GridCounter.of([threshold_grid(s, 5) for s in score], score)
    counted = grid.count(values)
    listed = ListCounter.of(grid.thresholds, score).count(values)
    plain = [int(values[exits_taken(score, t), np.arange(rows)].sum()) for t in grid.thresholds]
    assert counted.tolist() == listed.tolist() == plain
