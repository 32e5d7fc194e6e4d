"""The seam of policies: decide while running, learn from what comes back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

__all__ = ["Action", "Feedback", "Policy", "View"]


class Action(Enum):
    """What to do with a sample at an exit."""

    STOP = "stop"
    GO_ON = "go_on"


@dataclass(frozen=True, slots=True)
class View:
    """What a policy sees when a sample stands at an early exit.

    ``sample`` numbers the samples; ``confidence`` is the calibrated one of this exit, in float32 as
    the segment reports it, or the score of the plan's gate where that is another; ``elapsed_s`` counts
    from the sample's arrival.
    """

    sample: int
    exit: int
    confidence: float
    elapsed_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Feedback:
    """What became known of a sample, perhaps much later, perhaps twice, perhaps never.

    ``exit`` it left by; ``correct`` says whether that answer was right, ``None`` where nobody knows;
    ``latency_s`` from arrival to answer.
    """

    sample: int
    exit: int
    correct: bool | None = None
    latency_s: float | None = None


class Policy(ABC):
    """Decides sample by sample. Found by entry point (group ``offramp.policies``).

    A policy owns its random generator, made from the seed it is started with, and reads no clock:
    the same views and feedback give the same decisions in replay, in simulation and live.
    """

    name: str

    @classmethod
    @abstractmethod
    def start(cls, thresholds: Sequence[float | None], seed: int = 0) -> Policy:
        """A fresh policy, beginning from a plan's thresholds: one per early exit, ``None`` is off."""

    @abstractmethod
    def decide(self, view: View) -> Action:
        """Stop at this exit, or go on. Never called for the last exit."""

    @abstractmethod
    def learn(self, feedback: Feedback) -> None:
        """Take feedback in. Late, missing and duplicate feedback is normal and never an error."""

    @abstractmethod
    def to_json(self) -> str:
        """The whole state, the random generator included, as JSON."""

    @classmethod
    @abstractmethod
    def from_json(cls, text: str) -> Policy:
        """The policy that `to_json` wrote; it decides on as if never interrupted.

        Raises
        ------
        ConfigError : not a state of this policy
        """
