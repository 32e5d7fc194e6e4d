"""What came out of one run over labelled rows."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.store import write_text_atomic
from offramp.errors import ConfigError
from offramp.planning.plan import Plan

__all__ = ["RunResult", "load_run_result"]


@dataclass(frozen=True)
class RunResult:
    """Answers of one run, one entry per row in the order they were asked.

    ``tiers`` names the tiers, ``tier`` indexes them; ``degraded`` holds the reason or ``""``;
    ``sent_bytes`` is what left the device. ``counters`` are what the tiers counted, for example
    ``rows_executed.edge.2`` (rows segment 2 really ran on the edge).
    """

    name: str
    plan: Plan
    labels: list[int]
    answers: list[int]
    exits: list[int]
    tier: list[int]
    tiers: list[str]
    latency_s: list[float]
    sent_bytes: list[int]
    degraded: list[str]
    how: str = "measured"
    counters: dict[str, float] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.answers)

    @property
    def accuracy(self) -> float:
        """Share of right answers."""
        return float(np.mean(np.asarray(self.labels) == np.asarray(self.answers)))

    @property
    def mean_latency_s(self) -> float:
        """Mean seconds from asking to answer."""
        return float(np.mean(self.latency_s))

    def latency_quantile_s(self, quantile: float) -> float:
        """A latency quantile, e.g. 0.95."""
        return float(np.quantile(self.latency_s, quantile))

    @property
    def exit_share(self) -> NDArray[np.float64]:
        """(E,) share of the rows answered by each exit."""
        return np.bincount(self.exits, minlength=len(self.plan.temperatures)) / len(self)

    @property
    def tier_share(self) -> dict[str, float]:
        """Share of the rows answered on each tier."""
        shares = np.bincount(self.tier, minlength=len(self.tiers)) / len(self)
        return dict(zip(self.tiers, shares.tolist(), strict=True))

    @property
    def degraded_rows(self) -> int:
        """Rows answered from an earlier exit than planned."""
        return sum(1 for reason in self.degraded if reason)

    @property
    def bytes_per_sample(self) -> float:
        """Mean bytes that left the device per row."""
        return float(np.mean(self.sent_bytes))

    def save(self, path: str | Path) -> None:
        """Write it as JSON, atomically."""
        body = {**asdict(self), "plan": self.plan.model_dump(mode="json")}
        write_text_atomic(Path(path), json.dumps(body) + "\n")


def load_run_result(path: str | Path) -> RunResult:
    """Read a run.

    Raises
    ------
    ConfigError : missing or damaged
    """
    file = Path(path)
    try:
        body = json.loads(file.read_text())
        return RunResult(**{**body, "plan": Plan.model_validate(body["plan"])})
    except OSError as error:
        raise ConfigError(f"{file}: no such run; 'offramp run' writes one with --output") from error
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{file}: not a run of this version ({error}); run 'offramp run' again") from error
