"""DADS: a minimum cut where load is light, the lowest bottleneck where it is heavy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.settings import TINY
from offramp.errors import PlanInfeasible
from offramp.planning.making import whole_request
from offramp.planning.min_cut import LayerGraph, min_cut
from offramp.planning.plan import Plan
from offramp.planning.published.base import TwoTierPlanner
from offramp.planning.published.space import Space

__all__ = ["Dads", "DadsHeavy", "bottleneck_s"]

Floats = NDArray[np.float64]


class Dads(TwoTierPlanner):
    """Light load: the cut with the least latency of one sample, as an s-t minimum cut; no exits.

    The paper cuts the graph of layers, with tensors that several layers read paid once: `offramp.planning.min_cut` does
    that for any graph. A cascade is a chain of segments, between which all its tensors are paid together, so here
    the graph is a chain, and what a link costs besides bytes (encoding, round trip, protocol, answer) is part of its
    arc. A cut holds no deadline: the least latency meets it, or nothing does. Where it breaks a limit on placements
    (pins, memory), those that are left are scanned. Where samples arrive faster than its slowest stage allows, heavy
    load's choice is taken, as in the paper.

    Source: Hu et al., INFOCOM 2019, doi 10.1109/INFOCOM.2019.8737614.
    """

    name = "dads"
    knows_rates = True

    def choose(self, space: Space) -> Plan:
        latency = space.cost_s[:, -1]
        best = min(
            (_cut(space, table) for table in np.unique(space.table).tolist()), key=lambda row: (latency[row], row)
        )
        deadline, rate = space.objective.deadline_s, space.objective.arrival_hz
        if deadline is not None and latency[best] > deadline + TINY:
            raise space.infeasible(self.name, latency)
        if rate is not None and bottleneck_s(space)[best] * rate > 1.0 + TINY:
            best = _steadiest(space, self.name)
        exits = space.records[0].exits
        return space.plan(best, whole_request(exits, exits - 1), self.name)


class DadsHeavy(TwoTierPlanner):
    """Heavy load: the cut whose slowest stage (device, link, server) is fastest, so that throughput is highest.

    The paper approximates this NP-hard problem on graphs; on a chain every cut can be looked at, which is exact. Ties
    go to the lower latency. Waiting for a round trip keeps no stage busy and does not count.

    Source: Hu et al., INFOCOM 2019, doi 10.1109/INFOCOM.2019.8737614.
    """

    name = "dads-heavy"
    knows_rates = True

    def choose(self, space: Space) -> Plan:
        exits = space.records[0].exits
        return space.plan(_steadiest(space, self.name), whole_request(exits, exits - 1), self.name)


def bottleneck_s(space: Space) -> Floats:
    """(R,) seconds the busiest tier or link spends on one sample that runs to the end.

    Encoding and decoding are work of their tiers.
    """
    codec = space.gather(lambda table: table.codec_s)[:, -1]
    tiers = [space.term_s(f"compute:{name}")[:, -1] + codec[:, i] for i, name in enumerate(space.network.tier_names)]
    pairs = [f"{link.source}-{link.target}" for link in space.network.links]
    links = [space.term_s(f"transfer:{pair}")[:, -1] for pair in pairs]
    return np.asarray(np.column_stack([*tiers, *links]).max(1))


def _steadiest(space: Space, planner: str) -> int:
    """The row with the lowest bottleneck that is in time."""
    latency, deadline, rate = space.cost_s[:, -1], space.objective.deadline_s, space.objective.arrival_hz
    slowest = np.round(bottleneck_s(space), 12)
    if deadline is not None:
        slowest[latency > deadline + TINY] = np.inf
    best = int(np.lexsort((latency, slowest))[0])
    if np.isinf(slowest[best]):
        raise space.infeasible(planner, latency)
    if rate is not None and slowest[best] * rate > 1.0 + TINY:
        raise PlanInfeasible(
            f"{planner}: no plan sustains {rate:g} samples per second; its fastest bottleneck allows "
            f"{1.0 / slowest[best]:.3g}"
        )
    return best


def _cut(space: Space, table: int) -> int:
    """The row of the minimum cut under the codec of a table: a chain of the input and the segments."""
    costs = space.tables[table]
    placements = costs.placements
    segments = placements.shape[1]
    tiers = list(dict.fromkeys(placements[[-1, 0], 0].tolist()))
    if len(tiers) == 1:
        return int(np.flatnonzero(space.table == table)[0])
    compute = np.stack([costs.terms_s[:, -1, costs.names.index(f"compute:{costs.tiers[tier]}")] for tier in tiers])
    seconds = np.zeros((segments + 1, 2))
    seconds[0, 1] = np.inf
    seconds[1:, 0] = np.diff(compute[0])  # placement p runs p segments on the first tier
    seconds[1:, 1] = -np.diff(compute[1])
    carry = costs.cost_s[:, -1] - compute.sum(0)
    fixed = float(carry[-1])  # paid wherever the cut is: links before the first of the two tiers
    graph = LayerGraph(
        np.maximum(seconds, 0.0),
        np.column_stack([np.arange(segments), np.arange(1, segments + 1)]),
        np.maximum(carry - fixed, 0.0)[:, None],
    )
    first = int((min_cut(graph)[0] == 0).sum()) - 1
    rows = np.flatnonzero((space.row == first) & ((space.table == table) | (first == segments)))
    if not len(rows):
        rows = np.flatnonzero(space.table == table)
    return int(rows[space.cost_s[rows, -1].argmin()])
