"""What share of the answers is audited, and when that is alarming."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from offramp.confidence.alarm import Alarm
from offramp.errors import ConfigError
from offramp.planning.gate_spec import GateSpec
from offramp.planning.plan import Plan

__all__ = ["Audit", "audit_plan"]


@dataclass(frozen=True, slots=True)
class Audit:
    """What is audited, and when that is alarming.

    Parameters
    ----------
    share : of all samples; drawn before anything is known of the answer
    limit : tolerated share of answers that differ from the last exit's, in (0, 1)
    delta : probability of a false alarm over the device's life
    seed : of the draws
    log : file of JSON lines, one for every audited sample, with its propensity; added to
    on_alarm : called once, in a thread

    Raises
    ------
    ConfigError : a share, limit or delta out of range
    """

    share: float = 0.02
    limit: float = 0.05
    delta: float = 0.05
    seed: int = 0
    log: Path | None = None
    on_alarm: Callable[[Alarm], None] | None = None

    def __post_init__(self) -> None:
        if not (math.isfinite(self.share) and 0 < self.share <= 1):
            raise ConfigError(f"audit: the share must lie in (0, 1], not {self.share}")
        Alarm(self.limit, self.delta)


def audit_plan(plan: Plan) -> Plan:
    """The plan that has the last exit answer, all of it computed by the tier after the first.

    Raises
    ------
    ConfigError : there is no other tier, or the plan's objective keeps the input on the first one
    """
    if len(plan.tiers) < 2:
        raise ConfigError("an audit needs a tier that knows the last exit, but the plan has one tier only")
    if plan.objective.input_stays:
        raise ConfigError("an audit sends the input on, but the plan was made to keep it on the device (input_stays)")
    return Plan(
        cascade=plan.cascade,
        cascade_fingerprint=plan.cascade_fingerprint,
        tiers=plan.tiers,
        placement=(plan.tiers[1],) * len(plan.placement),
        gates=(GateSpec(threshold=None),) * len(plan.gates),
        temperatures=plan.temperatures,
        planner="audit",
    )
