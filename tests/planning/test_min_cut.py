"""The minimum cut is the cheapest assignment: against enumeration, and against a chain's scan."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import maximum_flow

from offramp.errors import ConfigError, PlanInfeasible
from offramp.planning.min_cut import LayerGraph, cut_problem, min_cut


def make_graph(seed: int, layers: int, tiers: int, density: float, pinned: bool = False) -> LayerGraph:
    """A random DAG whose later tiers are faster, the input on the first tier."""
    rng = np.random.default_rng(seed)
    pairs = [(u, v) for v in range(1, layers) for u in range(v) if u == v - 1 or rng.random() < density]
    cost = rng.uniform(0, 1, (layers, tiers)) / rng.uniform(1, 4) ** np.arange(tiers)
    cost[0] = np.where(np.arange(tiers) == 0, 0.0, np.inf)
    if pinned:
        cost[rng.integers(1, layers), rng.integers(tiers)] = np.inf
    carry = rng.uniform(0, 0.5, (layers, tiers - 1)) * (rng.random((layers, 1)) < 0.8)
    return LayerGraph(cost, np.array(pairs, np.int64).reshape(-1, 2), carry)


def cost_one_by_one(graph: LayerGraph, tier: tuple[int, ...]) -> float:
    """The definition, as loops."""
    total = sum(graph.cost[layer, where] for layer, where in enumerate(tier))
    for layer, where in enumerate(tier):
        readers = [tier[reader] for made, reader in graph.reads if made == layer]
        if any(reader < where for reader in readers):
            return float("inf")
        total += sum(
            graph.carry_cost[layer, link]
            for link in range(graph.carry_cost.shape[1])
            if where <= link and any(reader > link for reader in readers)
        )
    return float(total)


@settings(max_examples=150, deadline=None)
@given(
    seed=st.integers(0, 2**20),
    layers_tiers=st.sampled_from([(2, 2), (3, 3), (5, 2), (5, 3), (6, 3), (9, 2), (7, 3)]),
    density=st.sampled_from([0.0, 0.2, 0.5, 1.0]),
    pinned=st.booleans(),
)
def test_it_equals_enumeration(seed: int, layers_tiers: tuple[int, int], density: float, pinned: bool) -> None:
    layers, tiers = layers_tiers
    graph = make_graph(seed, layers, tiers, density, pinned)
    every = list(itertools.product(range(tiers), repeat=layers))
    costs = [graph.cost_of(np.array(tier)) for tier in every]
    for at in np.random.default_rng(seed).integers(0, len(every), 20):
        assert costs[at] == pytest.approx(cost_one_by_one(graph, every[at]))
    if min(costs) == np.inf:
        with pytest.raises(PlanInfeasible, match="no assignment"):
            min_cut(graph)
        return
    assignment, cost = min_cut(graph)
    assert cost == pytest.approx(min(costs), rel=1e-6, abs=1e-9)
    assert cost == graph.cost_of(assignment)


def test_nine_layers_on_three_tiers_equal_enumeration() -> None:
    graph = make_graph(7, 9, 3, 0.3)
    least = min(graph.cost_of(np.array(tier)) for tier in itertools.product(range(3), repeat=9))
    assert min_cut(graph)[1] == pytest.approx(least, rel=1e-6)


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 2**20), layers=st.integers(2, 12))
def test_a_chain_needs_only_a_scan(seed: int, layers: int) -> None:
    graph = make_graph(seed, layers, 2, 0.0)
    scan = [graph.cost_of(np.repeat([0, 1], [first, layers - first])) for first in range(1, layers + 1)]
    assert min_cut(graph)[1] == pytest.approx(min(scan), rel=1e-6)


def test_a_tensor_with_several_readers_is_carried_once() -> None:
    cost = np.array([[0.0, np.inf], [10.0, 1.0], [10.0, 1.0], [10.0, 1.0]])
    reads = np.array([[0, 1], [0, 2], [0, 3]])
    assert min_cut(LayerGraph(cost, reads, np.array([[25.0], [0.0], [0.0], [0.0]])))[1] == 28.0


def test_pairs_given_twice_and_one_tier_and_no_pairs() -> None:
    cost = np.array([[0.0, np.inf], [9.0, 1.0]])
    assert min_cut(LayerGraph(cost, np.array([[0, 1], [0, 1]]), np.array([[3.0], [0.0]])))[1] == 4.0
    assert min_cut(LayerGraph(cost[:, :1], np.array([[0, 1]]), np.zeros((2, 0))))[1] == 9.0
    assert min_cut(LayerGraph(cost, np.zeros((0, 2), np.int64), np.zeros((2, 1))))[1] == 1.0


def test_large_costs_beside_small_ones_do_not_overflow() -> None:
    cost = np.array([[0.0, np.inf], [1e-9, 1e12], [1e12, 1e-9]])
    graph = LayerGraph(cost, np.array([[0, 1], [1, 2]]), np.array([[1e6], [1e-3], [0.0]]))
    assignment, found = min_cut(graph)
    assert assignment.tolist() == [0, 0, 1]
    assert found == pytest.approx(1e-3 + 2e-9)


def test_a_thousand_layers_on_three_tiers() -> None:
    rng = np.random.default_rng(0)
    layers = 1000
    pairs = [(u, v) for v in range(1, layers) for u in range(max(0, v - 8), v) if u == v - 1 or rng.random() < 0.15]
    cost = rng.uniform(0, 1, (layers, 3)) * [1.0, 0.6, 0.45]
    cost[0] = [0.0, np.inf, np.inf]
    carry = rng.uniform(0, 1, (layers, 2)) * np.linspace(60, 0.5, layers)[:, None] * [1.0, 3.0]
    graph = LayerGraph(cost, np.array(pairs), carry)
    assignment, found = min_cut(graph)
    capacity, source, sink = cut_problem(graph)
    step = min(graph.cost_of(np.where(np.isinf(cost[:, k]), 0, k)) for k in range(3)) / 2**29
    value = maximum_flow(capacity, source, sink, method="dinic").flow_value * step
    assert found == pytest.approx(value, rel=1e-5)
    for layer in rng.integers(1, layers, 200):  # no single layer does better elsewhere
        for tier in range(3):
            other = assignment.copy()
            other[layer] = tier
            assert graph.cost_of(other) >= found - 1e-5


@pytest.mark.parametrize(
    ("cost", "reads", "carry", "message"),
    [
        ([[1.0, 1.0]], [[0, 0]], [[1.0, 1.0]], "carry_cost of shape"),
        ([[-1.0, 1.0]], [[0, 0]], [[1.0]], "zero or more"),
        ([[np.nan, 1.0]], [[0, 0]], [[1.0]], "zero or more"),
        ([[1.0, 1.0]], [[0, 0]], [[np.inf]], "zero or more"),
        ([[1.0, 1.0]], [[0, 5]], [[1.0]], "names a layer"),
    ],
)
def test_bad_graphs_are_refused(
    cost: list[list[float]], reads: list[list[int]], carry: list[list[float]], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        LayerGraph(np.array(cost), np.array(reads), np.array(carry))
