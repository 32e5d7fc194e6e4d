"""What one plan means for one tier."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.precision import segments_of
from offramp.codecs.base import Codec
from offramp.confidence.gates import ExitEvidence, Gate, ThresholdGate
from offramp.errors import ConfigError
from offramp.planning.plan import Plan
from offramp.runtime.tensors import codec_named

__all__ = ["Route"]

Array = NDArray[Any]


@dataclass(frozen=True)
class Route:
    """A plan as seen from one tier, everything looked up once.

    The tier runs the segments ``start`` to ``stop`` (excluded) and sends the survivors to ``next_tier``.
    """

    plan: Plan
    plan_id: str
    start: int
    stop: int
    next_tier: str | None
    gates: tuple[Gate, ...]
    temperatures: tuple[float, ...]
    #: of what it hands over
    codec: Codec
    #: precision of every segment of the cascade
    precisions: tuple[str, ...]

    @classmethod
    def of(cls, plan: Plan, tier: str, segments: int) -> Route:
        """The route of ``plan`` through ``tier``.

        Raises
        ------
        ConfigError : the plan does not know the tier, or its codec or precision is unknown
        """
        if tier not in plan.tiers:
            raise ConfigError(f"the plan knows no tier {tier!r}; its tiers are {', '.join(plan.tiers)}")
        mine, beyond = plan.tier_range(tier), plan.next_tier(tier)
        return cls(
            plan,
            plan.plan_id,
            mine.start,
            mine.stop if beyond else segments,
            beyond,
            tuple(gate.decides for gate in plan.gates),
            plan.temperatures,
            codec_named(plan.codec_at(mine.stop)),
            tuple(segments_of(plan.precision, segments)),
        )

    def leaves(
        self, exit_index: int, confidence: Array, probabilities: Array, earlier_labels: Array | None = None
    ) -> NDArray[np.bool_]:
        """(n,) which rows leave at an exit; the last one lets everything go."""
        if exit_index == len(self.gates):
            return np.ones(len(confidence), bool)
        return self.gates[exit_index].stop(ExitEvidence(exit_index, confidence, probabilities, earlier_labels))

    def needs_labels(self, exit_index: int) -> bool:
        """Whether the gate of this exit or of a later one asks what earlier exits answered."""
        return exit_index < self._asking

    @cached_property
    def _asking(self) -> int:
        """One more than the last exit whose gate asks what earlier exits answered."""
        return max((index + 1 for index, gate in enumerate(self.gates) if gate.earlier_exits), default=0)

    def threshold(self, exit_index: int) -> float:
        """The confidence at which a row leaves an exit, rounded as float32 confidences are compared.

        Infinite where nobody leaves, or where the gate decides on another score.

        Examples
        --------
        >>> plan = Plan(cascade="c", cascade_fingerprint="f", tiers=("device",), placement=("device",) * 2,
        ...             gates=[{"threshold": None}], temperatures=(1.0, 1.0))
        >>> route = Route.of(plan, "device", segments=2)
        >>> route.threshold(0), route.threshold(1)
        (inf, -inf)
        """
        if exit_index == len(self.gates):
            return float("-inf")
        gate = self.gates[exit_index]
        if gate.threshold is None or not isinstance(gate, ThresholdGate):
            return float("inf")
        return float(np.float32(gate.threshold))
