"""Edgent on a steady link: the deepest exit that is in time, and its best cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.settings import TINY
from offramp.links.network import Network
from offramp.planning.costs import by_tier, cost_table, segments_of
from offramp.planning.making import whole_request
from offramp.planning.plan import Plan
from offramp.planning.published.base import TwoTierPlanner
from offramp.planning.published.space import Space, two_tier_placements
from offramp.profiles.profile import Profile

__all__ = ["EdgeFront", "Edgent", "edge_front"]

Floats = NDArray[np.float64]


class Edgent(TwoTierPlanner):
    """Algorithm 1: from the deepest exit on, the first whose fastest cut meets the deadline; all samples leave there.

    The exit is chosen for the whole request, whatever a sample's confidence. The paper supposes that a deeper exit is
    more accurate and knows no limit for its loss; here an exit that loses more than the objective allows is skipped
    (``accuracy_loss=1`` allows all of them). Without a deadline the deepest exit is chosen. Of cuts equally fast the
    one that needs fewer tiers. Where no exit is in time the paper returns NULL: that is `PlanInfeasible`.

    The paper predicts layer times by regression, and its latency has no round trip, encoding or answer; here they are
    those of the profiles, and all of that counts. Its formula lets the *edge* run the front and the device the tail,
    which our chain of tiers cannot: this class cuts the usual way round, and `edge_front` gives the paper's latencies.

    Source: Li, Zhou, Chen, MECOMM 2018, arXiv 1806.07840; Li et al., IEEE TWC 19(1) 2020, arXiv 1910.05316.
    """

    name = "edgent"
    exits = True

    def choose(self, space: Space) -> Plan:
        latency, deadline = space.cost_s, space.objective.deadline_s
        enough = np.flatnonzero(space.exit_accuracy[0] >= space.least_accuracy)
        for chosen in enough[::-1].tolist():
            best = int(np.lexsort((space.placements[:, -1], np.round(latency[:, chosen], 12)))[0])
            if deadline is None or latency[best, chosen] <= deadline + TINY:
                return space.plan(best, whole_request(latency.shape[1], chosen), self.name, settings=latency.shape[1])
        raise space.infeasible(self.name, latency[:, enough])


@dataclass(frozen=True)
class EdgeFront:
    """The paper's own layout: the edge runs the front and the device the tail.

    ``latency_s`` (E, S + 1) by exit and cut p: the first p segments run on the edge. p = 0 sends nothing. A cut behind
    the exit's segment stands for the whole network up to it on the edge.
    """

    latency_s: Floats

    def choose(self, deadline_s: float) -> tuple[int, int] | None:
        """Deepest exit whose best cut is in time, and that cut; ``None`` (the paper's NULL) if there is none."""
        for chosen in range(len(self.latency_s) - 1, -1, -1):
            best = int(self.latency_s[chosen].argmin())
            if self.latency_s[chosen, best] <= deadline_s + TINY:
                return chosen, best
        return None


def edge_front(
    profiles: Mapping[str, Profile] | Sequence[Profile], network: Network, exits: int, codec: str = "raw"
) -> EdgeFront:
    """Latencies of the paper's layout on the first and the last tier: input up, a tensor at the cut back down.

    They are only reported: a plan goes up the chain of tiers. Where the edge runs everything, its answer comes back.

    Raises
    ------
    RecordMismatch : a tier has no profile, or it lacks a segment or the codec
    """
    chosen = by_tier(profiles, network)
    segments = segments_of(chosen[0])
    table = cost_table(chosen, network, codec, exits, two_tier_placements(segments, 0, len(network.tiers) - 1))
    device, edge = (table.terms_s[:, -1, table.names.index(f"compute:{table.tiers[tier]}")] for tier in (0, -1))
    on_device = np.concatenate([[0.0], np.cumsum(np.diff(device))])  # of the first p segments
    on_edge = np.concatenate([[0.0], np.cumsum(-np.diff(edge))])
    away = float(table.cost_s[0, -1] - edge[0])  # the input up, the answer back
    returning = [index for index, name in enumerate(table.names) if name.startswith("return:")]
    answer = float(table.terms_s[0, -1, returning].sum())
    per_byte_s = sum(8.0 / link.bandwidth_bps for link in network.links)
    result = np.empty((exits, segments + 1))
    for index, segment in enumerate(table.exit_segments):
        for cut in range(segments + 1):
            front = min(cut, segment + 1)
            result[index, cut] = on_edge[front] + on_device[segment + 1] - on_device[front] + (away if front else 0.0)
            if 0 < front <= segment:
                back, home = chosen[-1].payload(front, codec), chosen[0].payload(front, codec)
                tensor = back.encode_s + home.decode_s + back.payload_bytes * per_byte_s
                result[index, cut] += tensor - answer
    return EdgeFront(result)
