"""The seam of planners."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

from offramp.confidence.gates.base import Gate
from offramp.links.network import Network
from offramp.planning.objective import Objective
from offramp.planning.plan import Plan
from offramp.profiles.profile import Profile
from offramp.records.records import Records

__all__ = ["Planner"]


class Planner(ABC):
    """Makes a plan from the three tables: records, costs, links.

    Found by entry point (group ``offramp.planners``). The same input gives the same plan. Gates are
    chosen on tune rows; what the plan predicts comes from calibrate rows.

    Parameters
    ----------
    temperatures : one per exit, default 1.0 (as trained)
    codecs : names to choose from; default every lossless codec all tiers were measured with
    gates : whose scores decide at the early exits; default the calibrated confidence
    """

    name: str

    def __init__(
        self,
        temperatures: Sequence[float] | None = None,
        codecs: Sequence[str] | None = None,
        gates: Sequence[Gate] | None = None,
    ) -> None:
        self.temperatures = None if temperatures is None else tuple(float(t) for t in temperatures)
        self.codecs = None if codecs is None else tuple(codecs)
        self.gates = None if gates is None else tuple(gates)

    @abstractmethod
    def plan(
        self,
        records: Records | Sequence[Records],
        profiles: Mapping[str, Profile] | Sequence[Profile],
        network: Network,
        objective: Objective,
    ) -> Plan:
        """The plan.

        Parameters
        ----------
        records : of the cascade, or of several variants of it (another precision, tensors coded at a cut), the
            reference first; a planner that knows no variants takes the reference

        Raises
        ------
        PlanInfeasible : no plan meets the constraints
        RecordMismatch : records, profiles and network do not belong together
        """

    def __repr__(self) -> str:
        return f"{type(self).__name__}(temperatures={self.temperatures!r}, codecs={self.codecs!r})"
