"""The seam of all gates: a score, and a threshold on it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.evidence import ExitEvidence
from offramp.errors import ConfigError

__all__ = ["Gate"]


@dataclass(frozen=True)
class Gate(ABC):
    """Decides, row by row, whether to leave at an exit.

    A row leaves when ``score >= float32(threshold)``; ``None`` never leaves. So a grid of thresholds over the
    score serves every gate.

    Raises
    ------
    ConfigError : a threshold outside [0, 1]
    """

    threshold: float | None
    kind: ClassVar[str]

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0.0 <= self.threshold <= 1.0:
            raise ConfigError(f"a threshold must lie in [0, 1], not {self.threshold}")

    @abstractmethod
    def score(self, evidence: ExitEvidence) -> NDArray[np.float32]:
        """(n,) in [0, 1], how willing to stop; higher is more willing."""

    @property
    def earlier_exits(self) -> int:
        """How many ``earlier_labels`` the score asks for: what a field ``earlier`` says, else none."""
        return int(getattr(self, "earlier", 0))

    def stop(self, evidence: ExitEvidence) -> NDArray[np.bool_]:
        """(n,) True where the row leaves."""
        if self.threshold is None:
            return np.zeros(len(evidence.confidence), bool)
        return np.asarray(self.score(evidence) >= np.float32(self.threshold))

    def with_threshold(self, threshold: float | None) -> Self:
        """The same score with another threshold."""
        return replace(self, threshold=threshold)

    def to_json(self) -> str:
        """One line of JSON with ``kind`` in it."""
        return json.dumps({"kind": self.kind, **asdict(self)})
