"""What a report is written from."""

from __future__ import annotations

from dataclasses import dataclass

from offramp.cascade.manifest import Manifest
from offramp.confidence.certificate import Certificate
from offramp.links.network import Network
from offramp.planning.result import SearchResult
from offramp.profiles.profile import Profile
from offramp.records.records import Records
from offramp.runtime.run_result import RunResult

__all__ = ["ReportData"]


@dataclass(frozen=True)
class ReportData:
    """Everything a report can show; a section whose data is missing is left out.

    ``records`` hold tune, calibrate and test rows; ``search`` the chosen plan and who lost; ``runs``
    what was measured with real processes; ``certificate`` certified gate settings, by default that of the plan;
    ``notes`` are sentences printed under the headline.
    """

    title: str
    manifest: Manifest
    records: Records | None = None
    search: SearchResult | None = None
    runs: tuple[RunResult, ...] = ()
    network: Network | None = None
    profiles: tuple[Profile, ...] = ()
    notes: tuple[str, ...] = ()
    certificate: Certificate | None = None

    @property
    def shown_certificate(self) -> Certificate | None:
        """The certificate given, else the plan's."""
        return self.certificate or (self.search.plan.certificate if self.search else None)
