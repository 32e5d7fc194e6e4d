"""The seam of planners."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence

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
    """

    name: str

    def __init__(self, temperatures: Sequence[float] | None = None, codecs: Sequence[str] | None = None) -> None:
        self.temperatures = None if temperatures is None else tuple(float(t) for t in temperatures)
        self.codecs = None if codecs is None else tuple(codecs)

    @abstractmethod
    def plan(
        self,
        records: Records,
        profiles: Mapping[str, Profile] | Sequence[Profile],
        network: Network,
        objective: Objective,
    ) -> Plan:
        """The plan.

        Raises
        ------
        PlanInfeasible : no plan meets the constraints
        RecordMismatch : records, profiles and network do not belong together
        """

    def __repr__(self) -> str:
        return f"{type(self).__name__}(temperatures={self.temperatures!r}, codecs={self.codecs!r})"
