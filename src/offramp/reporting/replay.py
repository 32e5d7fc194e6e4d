"""What a plan's gates would have done with recorded rows, whatever the costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.planning.plan import Plan
from offramp.planning.replay import replay_exits
from offramp.records.records import Records

__all__ = ["GateReplay", "replay_gates"]


@dataclass(frozen=True)
class GateReplay:
    """``exits`` (n,) the exit every row leaves by; ``correct`` (n,) whether its answer there is right."""

    exits: NDArray[np.intp]
    correct: NDArray[np.bool_]
    exit_count: int

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(self.correct.mean())

    @property
    def exit_share(self) -> NDArray[np.float64]:
        """(E,) share of the rows leaving by each exit."""
        return np.bincount(self.exits, minlength=self.exit_count) / len(self.exits)

    def mean_latency_s(self, exit_latency_s: tuple[float, ...]) -> float:
        """Mean latency, given the seconds to each exit (E,)."""
        return float(self.exit_share @ np.asarray(exit_latency_s))


def replay_gates(plan: Plan, records: Records) -> GateReplay:
    """Send recorded rows through a plan's gates.

    Parameters
    ----------
    plan : its gates and temperatures are used, not its placement
    records : logits (E, n, K) of the same cascade

    Raises
    ------
    RecordMismatch : the records belong to another cascade
    """
    records.require(plan.cascade_fingerprint)
    exits = replay_exits(plan, records)
    return GateReplay(exits, records.correct[exits, np.arange(len(records))], records.exits)
