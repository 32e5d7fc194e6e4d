"""What was measured, as one JSON file."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from offramp.cascade.store import write_text_atomic
from offramp.errors import ConfigError, RecordMismatch
from offramp.links.network import Network
from offramp.planning.plan import Plan
from offramp.profiles.profile import MachineInfo, Profile
from offramp.records.records import Records
from studies.prediction.settings import PlanShape, network_of, plan_of

__all__ = ["MeasuredRun", "Measurement", "load_measurement"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MeasuredRun(_Value):
    """One plan under one link setting.

    ``exits`` has one digit, ``latency_us`` one number for every row; ``terms_s`` are means. Where the samples came
    at random times, ``rate_hz`` is their rate and ``arrival_us`` their times; else each came after the answer before.
    """

    plan: str
    links: str
    rate_hz: float | None = None
    exits: str
    degraded: int
    latency_us: tuple[int, ...]
    arrival_us: tuple[int, ...] = ()
    terms_s: dict[str, float]

    @property
    def latency_s(self) -> NDArray[np.float64]:
        """(n,) seconds from asking to answer."""
        return np.array(self.latency_us) / 1e6

    @property
    def arrival_s(self) -> NDArray[np.float64]:
        """(n,) seconds at which the samples came."""
        return np.array(self.arrival_us) / 1e6

    @property
    def exit(self) -> NDArray[np.intp]:
        """(n,) exit that answered."""
        return np.array([int(digit) for digit in self.exits], np.intp)


class Measurement(_Value):
    """All runs of one cascade on one machine, and everything a prediction of them needs beside the records.

    ``rows`` are the rows of the data set that were sent, ``load`` the machine's load average before and after.
    """

    schema_version: Literal[1] = 1
    cascade: str
    cascade_fingerprint: str
    data: str
    temperatures: tuple[float, ...]
    created_utc: str
    commit: str | None
    seed: int
    load: tuple[float, float]
    machine: MachineInfo
    rows: tuple[int, ...]
    slow_down: tuple[float, ...]
    links: dict[str, tuple[tuple[float, float], ...]]
    plans: dict[str, PlanShape]
    profiles: dict[str, Profile]
    runs: tuple[MeasuredRun, ...]

    def plan(self, run: MeasuredRun) -> Plan:
        """The plan of a run."""
        return plan_of(self.plans[run.plan], self.cascade, self.cascade_fingerprint, self.temperatures)

    def network(self, run: MeasuredRun) -> Network:
        """The network of a run."""
        return network_of(run.links, self.links[run.links], self.slow_down)

    def sent(self, records: Records) -> Records:
        """The records of the rows that were sent, in that order.

        Raises
        ------
        RecordMismatch : the records are of another cascade or lack a row
        """
        records.require(self.cascade_fingerprint)
        where = {int(row): index for index, row in enumerate(records.row)}
        try:
            return records.take(np.array([where[row] for row in self.rows], np.intp))
        except KeyError as error:
            raise RecordMismatch(f"the records have no row {error}, which was measured; record again") from error

    def save(self, path: Path) -> None:
        """Write the file, atomically."""
        write_text_atomic(path, self.model_dump_json() + "\n")


def load_measurement(path: Path) -> Measurement:
    """Read a file of measurements.

    Raises
    ------
    ConfigError : missing or damaged
    """
    try:
        return Measurement.model_validate_json(path.read_text())
    except OSError as error:
        raise ConfigError(f"{path}: no measurements; 'python -m studies.prediction.measure' makes them") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise ConfigError(f"{path}: {where}: {first['msg']}; measure again") from error
