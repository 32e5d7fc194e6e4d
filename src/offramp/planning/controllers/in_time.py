"""The most accurate plan that is in time on what the links give now."""

from __future__ import annotations

from collections.abc import Sequence

from offramp.errors import ConfigError, PlanInfeasible
from offramp.planning.controllers.base import Controller, Sent
from offramp.planning.controllers.link_view import LinkView
from offramp.planning.most_accurate import MostAccurate
from offramp.planning.plan import Plan

__all__ = ["InTimeController"]


class InTimeController(Controller):
    """Keeps every path within the deadline at the bandwidth its views count on; the shortest path where none is.

    A view whose estimator takes a low quantile keeps the deadline on a link that moves, at the price of an exit less
    now and then.

    Parameters
    ----------
    planner : prepared for the chain of the links
    links : one view per link of its network

    Raises
    ------
    ConfigError : not one view per link
    """

    def __init__(self, planner: MostAccurate, links: Sequence[LinkView]) -> None:
        if len(links) != len(planner.network.links):
            raise ConfigError(f"{len(links)} views for {len(planner.network.links)} links; give one for each")
        self.planner, self.links = planner, tuple(links)
        self._seen: tuple[int, ...] = ()
        self._current: Plan | None = None

    def plan_at(self, now_s: float) -> Plan:
        seen = tuple(view.version for view in self.links)
        if self._current is None or seen != self._seen:
            self._seen = seen
            cost_s = self.planner.cost_s([view.bandwidth_bps for view in self.links])
            try:
                chosen = self.planner.best(cost_s)
            except PlanInfeasible:
                chosen = self.planner.fastest(cost_s)
            self._current = self.planner.plan_of(chosen)
        return self._current

    def observe(self, sent: Sent) -> None:
        self.links[sent.link].observe(sent)
