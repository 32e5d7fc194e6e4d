"""The plan of one who knows what the links will give."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from offramp.errors import PlanInfeasible
from offramp.links.trace import Trace, constant
from offramp.planning.controllers.base import Controller, Sent
from offramp.planning.most_accurate import MostAccurate
from offramp.planning.plan import Plan

__all__ = ["ClairvoyantController"]


class ClairvoyantController(Controller):
    """Chooses as `InTimeController`, but at the mean bandwidth of the very transfers each plan would make.

    A bound for all controllers that choose sample by sample. It knows the links, not the queues, and takes the time
    to encode as nothing.

    Parameters
    ----------
    planner : prepared for the chain of the links
    traces : by "source-target"; other links keep their declared rate
    """

    def __init__(self, planner: MostAccurate, traces: Mapping[str, Trace]) -> None:
        self.planner = planner
        self._traces = [
            traces.get(f"{link.source}-{link.target}", constant(link.bandwidth_bps)) for link in planner.network.links
        ]

    def plan_at(self, now_s: float) -> Plan:
        cost_s = self._cost_s(now_s)
        try:
            return self.planner.plan_of(self.planner.best(cost_s))
        except PlanInfeasible:
            return self.planner.plan_of(self.planner.fastest(cost_s))

    def observe(self, sent: Sent) -> None:
        """Nothing to learn."""

    def _cost_s(self, now_s: float) -> NDArray[np.float64]:
        """(R, E) seconds of a sample that starts now."""
        planner = self.planner
        tiers = len(planner.network.tiers)
        at = planner.coefficients
        rtt_s = np.array([link.rtt_s for link in planner.network.links])
        begin_s = np.full(at.shape[:2], now_s)
        cost = at[:, :, 0] + at[:, :, 1 : 1 + tiers].sum(2) + at[:, :, 1 + 2 * tiers - 1 :] @ rtt_s
        for link, trace in enumerate(self._traces):
            begin_s += at[:, :, 1 + link]
            bits = at[:, :, planner.conditions.link_column(link)]
            end_s = begin_s.copy()
            for begin, size in set(zip(begin_s[bits > 0].tolist(), bits[bits > 0].tolist(), strict=True)):
                end_s[(begin_s == begin) & (bits == size)] = trace.finish_s(begin, size / 8)
            cost += end_s - begin_s
            begin_s = end_s + rtt_s[link] / 2
        return np.asarray(cost)
