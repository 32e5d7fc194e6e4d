"""A planner run again at the bandwidth of the moment."""

from __future__ import annotations

import math
from collections.abc import Callable

from offramp.errors import ConfigError, PlanInfeasible
from offramp.planning.controllers.base import Controller, Sent
from offramp.planning.controllers.link_view import LinkView
from offramp.planning.plan import Plan

__all__ = ["RerunController"]


class RerunController(Controller):
    """Asks a planner for every bandwidth it meets, at most once for each step of a fine scale.

    For planners that prepare nothing, as those published. Only one link moves.

    Parameters
    ----------
    plan_for : the plan for a bandwidth in bits per second
    view : of the link that moves
    fallback : the plan where ``plan_for`` finds none; default the last one
    link : which link moves
    step : bandwidths within this ratio get one plan, that of the lowest of them
    floor_bps : what is slower, an outage too, counts as this

    Raises
    ------
    ConfigError : ``step`` is not above 1, or ``floor_bps`` not above 0

    Examples
    --------
    >>> from offramp.links.estimators import Ewma
    >>> RerunController(lambda bandwidth_bps: ..., LinkView(Ewma(5e6, weight=1.0)), step=1.1)
    RerunController(link=0, step=1.1)
    """

    def __init__(
        self,
        plan_for: Callable[[float], Plan],
        view: LinkView,
        *,
        fallback: Callable[[float], Plan] | None = None,
        link: int = 0,
        step: float = 1.02,
        floor_bps: float = 1000.0,
    ) -> None:
        if not (math.isfinite(step) and step > 1):
            raise ConfigError(f"rerun: step must be above 1, not {step}")
        if not (math.isfinite(floor_bps) and floor_bps > 0):
            raise ConfigError(f"rerun: floor_bps must be above 0, not {floor_bps}")
        self.view, self.link, self.step, self.floor_bps = view, link, step, floor_bps
        self._plan_for, self._fallback = plan_for, fallback
        self._by_step: dict[int, Plan | None] = {}
        self._by_id: dict[str, Plan] = {}
        self._current: Plan | None = None

    def plan_at(self, now_s: float) -> Plan:
        rate = max(self.view.bandwidth_bps, self.floor_bps)
        key = math.floor(math.log(rate / self.floor_bps) / math.log(self.step) + 1e-9)
        if key not in self._by_step:
            self._by_step[key] = self._plan(self.floor_bps * self.step**key)
        plan = self._by_step[key] or self._current
        if plan is None:
            raise PlanInfeasible(f"no plan for {rate:g} bit/s, and none to fall back on")
        self._current = plan
        return plan

    def observe(self, sent: Sent) -> None:
        if sent.link == self.link:
            self.view.observe(sent)

    def _plan(self, bandwidth_bps: float) -> Plan | None:
        try:
            plan = self._plan_for(bandwidth_bps)
        except PlanInfeasible:
            if self._fallback is None:
                return None
            plan = self._fallback(bandwidth_bps)
        return self._by_id.setdefault(plan.plan_id, plan)

    def __repr__(self) -> str:
        return f"RerunController(link={self.link}, step={self.step!r})"
