"""The fastest plan for what the links give now."""

from __future__ import annotations

from collections.abc import Sequence

from offramp.errors import ConfigError, PlanInfeasible
from offramp.links.hysteresis import Hysteresis
from offramp.planning.controllers.base import Controller, Sent
from offramp.planning.controllers.link_view import LinkView
from offramp.planning.plan import Plan
from offramp.planning.replanner import Replanner

__all__ = ["ReplanningController"]


class ReplanningController(Controller):
    """Re-plans after every observation; switches when `Hysteresis` says it is worth it.

    Where no plan meets the constraints the last one stays, as does that of the first tier alone in an outage.

    Parameters
    ----------
    replanner : prepared for the chain of the links
    links : one view per link of its network
    hysteresis : in the unit of what the replanner minimises; default: every better plan is worth it

    Raises
    ------
    ConfigError : not one view per link
    PlanInfeasible : no plan meets the constraints at the first bandwidths
    """

    def __init__(self, replanner: Replanner, links: Sequence[LinkView], hysteresis: Hysteresis | None = None) -> None:
        if len(links) != len(replanner.network.links):
            raise ConfigError(f"{len(links)} views for {len(replanner.network.links)} links; give one for each")
        self.replanner, self.links = replanner, tuple(links)
        self.hysteresis = hysteresis or Hysteresis()
        self._plans: dict[int, Plan] = {}
        self._seen = self._versions()
        self._current = replanner.replan(self._rates())

    def plan_at(self, now_s: float) -> Plan:
        if self._versions() != self._seen:
            self._seen = self._versions()
            self._consider(now_s)
        index = self._current.index
        if index not in self._plans:
            self._plans[index] = self.replanner.plan_of(self._current)
        return self._plans[index]

    def observe(self, sent: Sent) -> None:
        self.links[sent.link].observe(sent)

    def _consider(self, now_s: float) -> None:
        rates = self._rates()
        try:
            best = self.replanner.replan(rates)
        except PlanInfeasible:
            return
        same = best.index == self._current.index
        if not same and self.hysteresis.decide(self.replanner.value(self._current, rates), best.value, now_s):
            self._current = best

    def _rates(self) -> list[float]:
        return [view.bandwidth_bps for view in self.links]

    def _versions(self) -> tuple[int, ...]:
        return tuple(view.version for view in self.links)
