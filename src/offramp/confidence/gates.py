"""Gates: stop at an exit, or go on."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError

__all__ = ["ExitEvidence", "Gate", "ThresholdGate", "gate_from_json"]


@dataclass(frozen=True, slots=True)
class ExitEvidence:
    """What is known of n rows at an exit: ``confidence`` (n,) calibrated, ``probabilities`` (n, K)."""

    exit: int
    confidence: NDArray[np.floating]
    probabilities: NDArray[np.floating]


class Gate(ABC):
    """Decides, row by row, whether to leave at an exit."""

    kind: str

    @abstractmethod
    def stop(self, evidence: ExitEvidence) -> NDArray[np.bool_]:
        """(n,) True where the row leaves."""

    @abstractmethod
    def to_json(self) -> str:
        """One line of JSON with ``kind`` in it."""


@dataclass(frozen=True)
class ThresholdGate(Gate):
    """Leave when the confidence reaches the threshold; ``None`` never leaves.

    Examples
    --------
    >>> gate = ThresholdGate(0.9)
    >>> gate.stop(ExitEvidence(0, np.array([0.89, 0.9]), np.zeros((2, 2))))
    array([False,  True])
    """

    threshold: float | None
    kind = "threshold"

    def __post_init__(self) -> None:
        if self.threshold is not None and not 0.0 <= self.threshold <= 1.0:
            raise ConfigError(f"a threshold must lie in [0, 1], not {self.threshold}")

    def stop(self, evidence: ExitEvidence) -> NDArray[np.bool_]:
        if self.threshold is None:
            return np.zeros(len(evidence.confidence), bool)
        return np.asarray(evidence.confidence >= self.threshold)

    def to_json(self) -> str:
        return json.dumps({"kind": self.kind, "threshold": self.threshold})


def gate_from_json(text: str) -> Gate:
    """Read a gate back.

    Raises
    ------
    ConfigError : not JSON, or an unknown kind

    Examples
    --------
    >>> gate_from_json(ThresholdGate(0.5).to_json())
    ThresholdGate(threshold=0.5)
    """
    try:
        body = json.loads(text)
        kind = body.pop("kind")
        if kind == ThresholdGate.kind:
            return ThresholdGate(**body)
    except ConfigError:
        raise
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise ConfigError(f"not a gate: {text[:60]!r}") from error
    raise ConfigError(f"unknown gate kind {kind!r}; known is {ThresholdGate.kind!r}")
