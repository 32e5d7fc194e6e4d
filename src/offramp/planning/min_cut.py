"""Where the layers of a graph run when there are no exits: one s-t minimum cut."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, maximum_flow

from offramp.errors import ConfigError, PlanInfeasible

__all__ = ["LayerGraph", "cut_problem", "min_cut"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

#: capacity that no cut pays; scipy keeps capacities and residuals in 32 bits, and this plus any flow still fits
_NEVER = 2**30


@dataclass(frozen=True)
class LayerGraph:
    """A network of n layers and K tiers in a chain; data never returns to an earlier tier.

    ``cost`` (n, K) of running every layer on every tier, infinite where it must not run; ``reads`` (m, 2) pairs
    (layer read, layer that reads); ``carry_cost`` (n, K - 1) of taking a layer's output over every link, paid once
    however many layers beyond it read it. All in one unit, such as seconds. The input is a layer that costs nothing on
    the first tier and is infinite on the others.

    Raises
    ------
    ConfigError : shapes do not fit, a cost is negative or NaN, or a pair names a layer there is not

    Examples
    --------
    >>> graph = LayerGraph(np.array([[0.0, np.inf], [9.0, 1.0]]), np.array([[0, 1]]), np.array([[3.0], [0.0]]))
    >>> min_cut(graph)
    (array([0, 1]), 4.0)
    """

    cost: Floats
    reads: Ints
    carry_cost: Floats

    def __post_init__(self) -> None:
        layers, tiers = self.cost.shape
        if self.reads.ndim != 2 or self.reads.shape[1] != 2 or self.carry_cost.shape != (layers, tiers - 1):
            raise ConfigError(
                f"layer graph: {layers} layers on {tiers} tiers need reads of shape (m, 2) and carry_cost of shape "
                f"({layers}, {tiers - 1}), not {self.reads.shape} and {self.carry_cost.shape}"
            )
        if not (self.cost >= 0).all() or not ((self.carry_cost >= 0) & np.isfinite(self.carry_cost)).all():
            raise ConfigError("layer graph: costs must be zero or more (infinite only where a layer must not run)")
        if self.reads.size and not (self.reads.min() >= 0 and self.reads.max() < layers):
            raise ConfigError(f"layer graph: reads names a layer outside 0 to {layers - 1}")

    def cost_of(self, tier: Ints) -> float:
        """The cost of an assignment (n,); infinite where data would return or a layer must not run.

        A tensor crosses every link between the tier that made it and the furthest one that reads it.
        """
        source, reader = self.reads[:, 0], self.reads[:, 1]
        if (tier[source] > tier[reader]).any():
            return float("inf")
        furthest = tier.copy()
        np.maximum.at(furthest, source, tier[reader])
        links = np.arange(self.carry_cost.shape[1])
        crossed = (tier[:, None] <= links) & (links < furthest[:, None])
        return float(self.cost[np.arange(len(tier)), tier].sum() + self.carry_cost[crossed].sum())


def min_cut(graph: LayerGraph) -> tuple[Ints, float]:
    """The cheapest assignment of layers to tiers (n,), and its cost.

    Costs are rounded to steps of 2**-29 of the cheapest assignment that gives every layer the same tier where it may
    run there (of all costs together, where none does), because the flow algorithm counts in 32-bit integers; the cost
    returned is the exact one of the assignment found. That is at most n K / 2 steps above the optimum. A cycle in
    ``reads`` is no error: its layers end up on one tier.

    Raises
    ------
    PlanInfeasible : no assignment keeps every layer off the tiers where it must not run

    Source: the cut of DADS (Hu et al., INFOCOM 2019) for two tiers; a chain of K - 1 nodes per layer for K tiers is the
    construction of Ishikawa (PAMI 2003).
    """
    layers, tiers = graph.cost.shape
    if tiers == 1:
        return _found(graph, np.zeros(layers, np.int64))
    capacity, source, sink = cut_problem(graph)
    residual = capacity - maximum_flow(capacity, source, sink, method="dinic").flow
    residual.eliminate_zeros()
    reached = np.zeros(capacity.shape[0], bool)
    reached[breadth_first_order(residual, source, return_predecessors=False)] = True
    beyond = ~reached[: layers * (tiers - 1)].reshape(tiers - 1, layers)
    return _found(graph, beyond.sum(0, dtype=np.int64))


def cut_problem(graph: LayerGraph) -> tuple[csr_matrix, int, int]:
    """Integer capacities, source and sink of the minimum cut.

    Node k n + v lies on the sink's side when layer v runs beyond link k. A layer read by several has one more node
    per link, so that its output is paid once.
    """
    layers, tiers = graph.cost.shape
    links = tiers - 1
    reads = np.stack(np.divmod(np.unique(graph.reads @ [layers, 1]), layers), axis=1)
    reads = reads[reads[:, 0] != reads[:, 1]]
    readers = np.bincount(reads[:, 0], minlength=layers)
    shared = np.flatnonzero(readers > 1)
    level = np.arange(links)[:, None]
    node = level * layers + np.arange(layers)
    bundle = links * layers + level * len(shared) + np.arange(len(shared))
    bundle_of = np.zeros(layers, np.int64)
    bundle_of[shared] = np.arange(len(shared))
    source = links * (layers + len(shared))
    sink = source + 1
    many = readers[reads[:, 0]] > 1
    made, read = level * layers + reads[:, 0], level * layers + reads[:, 1]
    to_one, to_many = reads[~many, 0], bundle[:, bundle_of[reads[many, 0]]]
    step = _step(graph)
    cost, carry = _units(graph.cost, step).T, _units(graph.carry_cost, step).T
    before = np.vstack([np.full((1, layers), sink), node[:-1]])
    parts = [
        (np.full(layers, source), node[-1], cost[-1]),  # runs on the last tier
        (node, before, cost[:-1]),  # runs on the tier before a link
        (before[1:], node[1:], np.full_like(node[1:], _NEVER)),  # beyond a link: beyond all before it
        (read, made, np.full_like(read, _NEVER)),  # data never returns
        (made[:, ~many], read[:, ~many], carry[:, to_one]),
        (node[:, shared], bundle, carry[:, shared]),
        (to_many, read[:, many], np.full_like(to_many, _NEVER)),
    ]
    start, end, amount = (np.concatenate([part[i].ravel() for part in parts]).astype(np.int32) for i in range(3))
    return csr_matrix((amount, (start, end)), shape=(sink + 1, sink + 1)), source, sink


def _step(graph: LayerGraph) -> float:
    """What one unit of capacity is worth: the cut sought costs at most 2**29 of them."""
    layers, tiers = graph.cost.shape
    forbidden = np.isinf(graph.cost)
    first_allowed = (~forbidden).argmax(1)
    least = min(
        graph.cost_of(np.where(forbidden[:, tier], first_allowed, np.full(layers, tier))) for tier in range(tiers)
    )
    if np.isinf(least):
        least = float(graph.cost[~forbidden].sum() + graph.carry_cost.sum())
    return least / 2**29 if least > 0 else 1.0


def _units(cost: Floats, step: float) -> Ints:
    """Integer capacities; what is above every sensible cut is never paid."""
    return np.minimum(np.rint(cost / step), _NEVER).astype(np.int64)


def _found(graph: LayerGraph, tier: Ints) -> tuple[Ints, float]:
    cost = graph.cost_of(tier)
    if not np.isfinite(cost):
        raise PlanInfeasible(
            "no assignment going up the tiers keeps every layer off the tiers where it must not run; allow more"
        )
    return tier, cost
