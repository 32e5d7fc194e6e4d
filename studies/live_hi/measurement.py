"""What was measured, as it is stored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from offramp.errors import RecordMismatch

__all__ = ["FILE", "Measured", "Run", "load_measured"]

FILE = Path(__file__).parent / "measured.json"


class Run(BaseModel):
    """One policy over the rows, one after the other.

    ``latency_us`` and ``device_us`` (compute of the device) are of each row; ``exits`` a digit for each; ``right`` 1 or
    0 for each; ``sent_bytes`` left the device for rows that went on, ``audit_bytes`` for audited ones.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    latency_us: tuple[int, ...]
    device_us: tuple[int, ...]
    exits: str
    right: str
    sent_bytes: int
    audited: int = 0
    degraded: int = 0

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.latency_us)

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return self.right.count("1") / self.rows

    @property
    def offloaded(self) -> float:
        """Share of rows that were sent."""
        return 1.0 - self.exits.count("0") / self.rows

    @property
    def latency_s(self) -> tuple[float, float]:
        """Mean and 95th percentile."""
        return float(np.mean(self.latency_us)) / 1e6, float(np.quantile(self.latency_us, 0.95)) / 1e6

    @property
    def device_s(self) -> float:
        """Mean compute of the device."""
        return float(np.mean(self.device_us)) / 1e6


class Measured(BaseModel):
    """Everything, with where it was measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = 1
    created_utc: str
    commit: str | None
    cascade: str
    cascade_fingerprint: str
    machine: dict[str, object]
    load: tuple[float, float]
    trace: str
    trace_mean_bps: float
    rtt_s: float
    slow_down: float
    price: float
    runs: tuple[Run, ...]

    def run(self, name: str) -> Run:
        """The run of a policy."""
        return next(run for run in self.runs if run.name == name)


def load_measured(file: Path = FILE) -> Measured:
    """The stored measurement.

    Raises
    ------
    RecordMismatch : it is not there, or not one
    """
    try:
        return Measured.model_validate_json(file.read_text())
    except (OSError, ValidationError) as error:
        raise RecordMismatch(
            f"{file.name}: no measurement ({type(error).__name__}); make one with 'python -m studies.live_hi.measure'"
        ) from error
