"""Weights over thresholds: the tree against arrays, the pieces against the definition."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.policies.pieces import Pieces
from offramp.policies.threshold_tree import ThresholdTree

CHANGES = st.lists(st.tuples(st.integers(0, 16), st.floats(1e-3, 1e3)), max_size=20)


@given(CHANGES)
def test_the_tree_holds_what_an_array_would(changes: list[tuple[int, float]]) -> None:
    tree, weights = ThresholdTree(4), np.full(16, 1 / 16)
    for at, factor in changes:
        tree.scale(at, factor)
        weights[:at] *= factor
        weights /= weights.sum()
    np.testing.assert_allclose(tree.weights(), weights, atol=1e-9)
    for at in range(17):
        assert tree.below(at) == pytest.approx(weights[:at].sum(), abs=1e-9)


def test_the_tree_neither_overflows_nor_gets_stuck_for_ever() -> None:
    tree = ThresholdTree(6)
    for _ in range(3000):
        tree.scale(20, math.exp(0.9))
        tree.scale(10, math.exp(-0.7))
    assert tree.below(20) - tree.below(10) == pytest.approx(1.0)
    for _ in range(3000):
        tree.scale(20, math.exp(-0.9))
    assert tree.below(20) < 1e-12
    assert all(math.isfinite(odds) and odds > 0 for odds in tree.odds)


@given(st.lists(st.tuples(st.sampled_from([0.0, 0.125, 0.25, 0.5, 0.875, 1.0]), st.floats(-2, 2)), max_size=12))
def test_pieces_hold_what_a_fine_grid_would(changes: list[tuple[float, float]]) -> None:
    pieces, logs = Pieces(), np.zeros(8)  # the grid has the edges of every piece
    for at, low in changes:
        pieces.split(at)
        pieces.add(at, low, 0.5)
        logs += np.where(np.arange(1, 9) / 8 <= at, low, 0.5)
    weights = np.exp(logs - logs.max())
    for at in (0.0, 0.125, 0.25, 0.5, 0.875, 1.0):
        pieces.split(at)
        assert pieces.below(at) == pytest.approx(weights[: int(8 * at)].sum() / weights.sum())


def test_tree_and_pieces_agree_on_quantised_confidences() -> None:
    rng = np.random.default_rng(0)
    tree, pieces = ThresholdTree(5), Pieces()
    for _ in range(200):
        at, low = int(rng.integers(33)), float(rng.normal(0, 0.2))
        pieces.split(at / 32)
        assert tree.below(at) == pytest.approx(pieces.below(at / 32))
        tree.scale(at, math.exp(low))
        pieces.add(at / 32, low, 0.0)


def test_experts_are_counted_where_length_does_not_matter() -> None:
    pieces = Pieces(by_length=False)
    pieces.split(0.001)
    assert (len(pieces), pieces.below(0.001)) == (2, 0.5)
    pieces.split(0.0)
    pieces.split(1.0)
    assert (len(pieces), pieces.below(0.0), pieces.below(1.0)) == (2, 0.0, 1.0)


@pytest.mark.parametrize("odds", [[1.0], [1.0, -1.0], [1.0, math.inf]])
def test_odds_that_do_not_fit_are_refused(odds: list[float]) -> None:
    with pytest.raises(ValueError, match="do not fit"):
        ThresholdTree(1).take(odds)


@pytest.mark.parametrize(
    "state",
    [
        {"edges": [0.5], "log_weights": [0.0]},
        {"edges": [1.0], "log_weights": [0.0, 0.0]},
        {"edges": [0.5, 0.5, 1.0], "log_weights": [0.0, 0.0, 0.0]},
        {"edges": [1.0], "log_weights": [float("nan")]},
    ],
)
def test_pieces_that_do_not_fit_are_refused(state: dict[str, list[float]]) -> None:
    with pytest.raises(ValueError, match="its "):
        Pieces().take(state)
