"""`min_cut` from a layer graph to the tiers, against scipy's bare flow on the capacities it comes to."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse.csgraph import maximum_flow

from benchmarks.timed import timed_in_turn
from offramp.planning.min_cut import LayerGraph, cut_problem, min_cut

__all__ = ["min_cut_rows"]


def min_cut_rows(quick: bool) -> list[dict[str, Any]]:
    """Seconds of both, on a graph whose flow is soon found (what is built around it weighs most) and on a harder one.

    In the first a tenth of the layers read a second one too and every tier is three times as fast as the one before,
    in the other all of them do and it is twice as fast.
    """
    layers, repeats = (60, 3) if quick else (1_000, 51)
    easy = _graph(layers, share=0.1, speed_up=3.0, largest=100.0)
    hard = _graph(layers, share=1.0, speed_up=2.0, largest=300.0)
    return [_row("few skips", easy, repeats), _row("a skip at every layer", hard, repeats)]


def _row(name: str, graph: LayerGraph, repeats: int) -> dict[str, Any]:
    layers = len(graph.cost)
    capacity, source, sink = cut_problem(graph)
    flow_s, ours_s, _, (tier, cost) = timed_in_turn(
        lambda: maximum_flow(capacity, source, sink, method="dinic"), lambda: min_cut(graph), repeats
    )
    least = min(graph.cost_of(np.where(np.arange(layers) > 0, one, 0)) for one in range(3))
    if not 0 < cost <= least:
        raise RuntimeError(f"the cut costs {cost}, one tier {least}")
    return {
        "name": f"min cut ({name}) / scipy dinic",
        "baseline": flow_s,
        "ours": ours_s,
        "ratio": ours_s / flow_s,
        "unit": "s",
        "how": f"measured: medians of {repeats}, in turn",
        "notes": f"{layers} layers on 3 tiers ({' and '.join(map(str, np.bincount(tier, minlength=3)))} on them), "
        f"{len(graph.reads)} reads, {capacity.shape[0]} nodes and {capacity.nnz} edges. Baseline: the flow only; ours "
        "builds the graph, finds the flow, and reads the tiers off",
    }


def _graph(layers: int, share: float, speed_up: float, largest: float) -> LayerGraph:
    """Every layer reads the one before, some also one up to twenty before; tensors shrink with depth."""
    rng = np.random.default_rng(0)
    chain = [(layer - 1, layer) for layer in range(1, layers)]
    skips = [(max(0, layer - int(rng.integers(2, 20))), layer) for layer in range(2, layers) if rng.random() < share]
    cost = rng.uniform(0.0, 1.0, (layers, 3)) / speed_up ** np.arange(3)
    cost[0] = [0.0, np.inf, np.inf]
    sizes = rng.uniform(0.2, 1.0, layers) * np.geomspace(largest, 1.0, layers)
    return LayerGraph(cost, np.array(chain + skips, np.int64), sizes[:, None] * np.array([1.0, 2.0]))
