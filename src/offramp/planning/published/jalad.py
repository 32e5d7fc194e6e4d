"""JALAD: the cut, and how many bits the tensor there gets."""

from __future__ import annotations

import numpy as np

from offramp.confidence.settings import TINY
from offramp.planning.making import whole_request
from offramp.planning.plan import Plan
from offramp.planning.published.base import TwoTierPlanner
from offramp.planning.published.space import Space

__all__ = ["Jalad"]


class Jalad(TwoTierPlanner):
    """The cut and the codec of its tensor with the least latency within the accuracy loss; no exits.

    The paper normalises a feature map, rounds it to c bits and codes it by Huffman; it writes the choice as an integer
    programme in which exactly one pair of layer and c is taken, so a scan of the table solves it. Here c is the codec
    of a variant of records (``fp32+uint8@1``, ``fp32+affine4@1``, ...), whose accuracy loss was recorded, and the
    lossless codecs are pairs as well (the paper has none). With records of the reference alone it is Neurosurgeon's
    scan.

    Source: Li et al., ICPADS 2018, arXiv 1812.10027.
    """

    name = "jalad"
    takes_variants = True

    def choose(self, space: Space) -> Plan:
        latency, deadline = space.cost_s[:, -1], space.objective.deadline_s
        accuracy = space.exit_accuracy[space.variant, -1]
        enough = accuracy >= space.least_accuracy
        in_time = enough & (latency <= (np.inf if deadline is None else deadline + TINY))
        if not in_time.any():
            raise space.infeasible(self.name, latency[enough])
        best = int(np.lexsort((-accuracy, np.round(np.where(in_time, latency, np.inf), 12)))[0])
        exits = space.records[0].exits
        return space.plan(best, whole_request(exits, exits - 1), self.name)
