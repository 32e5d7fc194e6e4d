"""Families of tests: against a plain loop, and the promise they make together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from offramp.confidence.testing.family import bonferroni, fixed_sequence, graphical, holm
from offramp.errors import ConfigError

P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@given(P_VALUES, st.floats(0.01, 0.3))
def test_holm_is_the_step_down_of_bonferroni(p: list[float], delta: float) -> None:
    rejected = holm(p, delta)
    assert (rejected | ~bonferroni(p, delta)).all()
    left, expected = list(range(len(p))), np.zeros(len(p), bool)
    while left:
        least = min(left, key=lambda i: p[i])
        if p[least] > delta / len(left):
            break
        expected[least] = True
        left.remove(least)
    assert rejected.tolist() == expected.tolist()


@given(P_VALUES, st.floats(0.01, 0.3))
def test_a_chain_is_a_fixed_sequence_and_a_full_graph_is_holm(p: list[float], delta: float) -> None:
    tests = len(p)
    chain, start = np.eye(tests, k=1), np.eye(tests)[0]
    assert graphical(p, start, chain, delta).tolist() == fixed_sequence(p, delta).tolist()
    full = (np.ones((tests, tests)) - np.eye(tests)) / max(1, tests - 1)
    margins = [abs(p_i - delta / k) for p_i in p for k in range(1, tests + 1)]
    if min(margins) > 1e-9:
        assert graphical(p, np.full(tests, 1 / tests), full, delta).tolist() == holm(p, delta).tolist()


@pytest.mark.parametrize("procedure", [bonferroni, holm, fixed_sequence])
def test_true_nulls_are_rejected_no_more_often_than_promised(procedure: object) -> None:
    draw, delta = np.random.default_rng(0), 0.1
    wrong = 0
    for _ in range(3000):
        p = draw.random(8)
        wrong += bool(procedure(p, delta).any())  # type: ignore[operator]
    assert wrong / 3000 <= delta + 3 * np.sqrt(delta * (1 - delta) / 3000)


@pytest.mark.parametrize(
    ("weights", "transitions", "match"),
    [
        (np.array([0.7, 0.7]), np.zeros((2, 2)), "sum is at most 1"),
        (np.array([0.5, 0.5]), np.eye(2), "diagonal"),
        (np.array([0.5]), np.zeros((2, 2)), "2 numbers"),
    ],
)
def test_a_graph_outside_the_rules_is_refused(
    weights: NDArray[np.float64], transitions: NDArray[np.float64], match: str
) -> None:
    with pytest.raises(ConfigError, match=match):
        graphical([0.1, 0.1], weights, transitions, 0.05)


def test_p_values_outside_the_unit_interval_are_refused() -> None:
    with pytest.raises(ConfigError, match="p-values"):
        holm([0.1, 1.2], 0.05)
