"""The same plan always."""

from __future__ import annotations

from offramp.planning.controllers.base import Controller, Sent
from offramp.planning.plan import Plan

__all__ = ["FixedController"]


class FixedController(Controller):
    """Gives every sample one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan

    def plan_at(self, now_s: float) -> Plan:
        return self.plan

    def observe(self, sent: Sent) -> None:
        """Nothing to learn."""

    def __repr__(self) -> str:
        return f"FixedController({self.plan.plan_id})"
