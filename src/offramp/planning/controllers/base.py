"""The seam of controllers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from offramp.planning.plan import Plan

__all__ = ["Controller", "Sent"]


@dataclass(frozen=True, slots=True)
class Sent:
    """What a link did: ``payload_bytes`` in ``seconds`` of work (round trip not counted), until ``ended_s``.

    ``link`` is its place in the chain, 0 for that of the first tier. ``done`` is false for a message given up: the
    bytes are then those that came through. What a monitor of the link reports for its interval looks the same.
    """

    link: int
    payload_bytes: float
    seconds: float
    ended_s: float
    done: bool = True

    @property
    def bandwidth_bps(self) -> float:
        """Bits per second; 0 in an outage.

        Examples
        --------
        >>> Sent(link=0, payload_bytes=1000, seconds=0.5, ended_s=3.0).bandwidth_bps
        16000.0
        """
        return self.payload_bytes * 8.0 / self.seconds


class Controller(ABC):
    """Gives every sample its plan. Time is an argument and goes on only; nothing random, no clock of its own."""

    @abstractmethod
    def plan_at(self, now_s: float) -> Plan:
        """The plan for a sample that starts now; the same object as long as it is the same plan.

        Raises
        ------
        PlanInfeasible : there is no plan for this moment, and none to fall back on
        """

    @abstractmethod
    def observe(self, sent: Sent) -> None:
        """Learn what a link did."""
