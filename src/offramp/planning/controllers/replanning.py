"""The fastest plan for what the links give now."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offramp.errors import ConfigError, PlanInfeasible
from offramp.links.hysteresis import Hysteresis
from offramp.planning.controllers.base import Controller, Sent
from offramp.planning.controllers.link_view import LinkView
from offramp.planning.plan import Plan
from offramp.planning.replanner import Choice, Replanner

__all__ = ["ReplanningController"]


class ReplanningController(Controller):
    """Re-plans after every observation; switches when `Hysteresis` says it is worth it.

    Where no plan meets the constraints the last one stays, as does that of the first tier alone in an outage.

    Parameters
    ----------
    replanner : prepared for the chain of the links
    links : one view per link of its network
    hysteresis : costs are mean latencies in seconds; default: every better plan is worth it

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
        index, self._mean, self._late = replanner.rows(len(replanner.network.tiers))
        self._place = {int(pair): place for place, pair in enumerate(index)}
        self._within = [
            {int(pair) for pair in replanner.rows(tiers)[0]} for tiers in range(1, len(replanner.network.tiers) + 1)
        ]
        self._plans: dict[int, Plan] = {}
        self._seen = self._versions()
        self._current = replanner.replan(self._rates()).index

    def plan_at(self, now_s: float) -> Plan:
        if self._versions() != self._seen:
            self._seen = self._versions()
            self._consider(now_s)
        if self._current not in self._plans:
            self._plans[self._current] = self.replanner.plan_of(Choice(self._current, 0.0))
        return self._plans[self._current]

    def observe(self, sent: Sent) -> None:
        self.links[sent.link].observe(sent)

    def _consider(self, now_s: float) -> None:
        rates = self._rates()
        try:
            best = self.replanner.replan(rates)
        except PlanInfeasible:
            return
        if best.index != self._current and self.hysteresis.decide(self._cost_s(rates), best.mean_latency_s, now_s):
            self._current = best.index

    def _cost_s(self, rates: list[float]) -> float:
        """Mean latency of the current plan now; infinite where it cannot work or misses the deadline."""
        vector, tiers = self.replanner.vector(rates)
        place = self._place[self._current]
        if self._current not in self._within[tiers - 1]:
            return float(np.inf)
        if self._late is not None and self._late[place] @ vector > self.replanner.deadline_s:
            return float(np.inf)
        return float(self._mean[place] @ vector)

    def _rates(self) -> list[float]:
        return [view.bandwidth_bps for view in self.links]

    def _versions(self) -> tuple[int, ...]:
        return tuple(view.version for view in self.links)
