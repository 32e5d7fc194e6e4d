"""What a search found: the plan, who lost and why, and the Pareto front."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from offramp.cascade.store import write_text_atomic
from offramp.files import read_model
from offramp.planning.plan import Plan

__all__ = ["Candidate", "FrontPoint", "SearchResult", "Sensitivity", "load_search_result"]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Candidate(_Value):
    """A plan that was not chosen; ``reason`` is one sentence on why it lost."""

    name: str
    plan: Plan
    reason: str


class FrontPoint(_Value):
    """A plan no other beats in both accuracy and ``value``, what is minimised (both on the tune rows)."""

    mean_latency_s: float
    accuracy: float
    placement: tuple[str, ...]
    thresholds: tuple[float | None, ...]
    codec: str
    value: float | None = None
    variant: str = "fp32"


class Sensitivity(_Value):
    """The bandwidths of a link between which the plan stays the best, all else fixed; 0 and ``None`` are no limit."""

    link: str
    low_bps: float
    high_bps: float | None


class SearchResult(_Value):
    """The chosen plan, the runners-up (one per placement), the one-tier plans, and the front.

    ``why`` says in one sentence why the chosen plan is the best; ``binding`` names the constraint that stops it
    from being better, or ``none``; ``sensitivity`` has one entry per link where it was asked for.
    """

    plan: Plan
    alternatives: tuple[Candidate, ...]
    endpoints: tuple[Candidate, ...]
    front: tuple[FrontPoint, ...]
    binding: str
    why: str
    sensitivity: tuple[Sensitivity, ...] = ()

    def save(self, path: str | Path) -> None:
        """Write it as JSON, atomically."""
        write_text_atomic(Path(path), json.dumps(self.model_dump(mode="json"), indent=1) + "\n")


def load_search_result(path: str | Path) -> SearchResult:
    """Read a search result.

    Raises
    ------
    ConfigError : missing or damaged
    """
    missing = "no such search result; 'offramp plan' writes one beside the plan"
    return read_model(SearchResult, path, missing=missing, again="run 'offramp plan' again")
