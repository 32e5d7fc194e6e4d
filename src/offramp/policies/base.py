"""The seam of policies: decide while running, learn from what comes back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum, IntEnum
from typing import ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offramp.policies.setting import Setting

__all__ = ["Action", "Arrival", "Feedback", "FeedbackKind", "Policy", "View"]


class Action(Enum):
    """What to do with a sample at an exit."""

    STOP = "stop"
    GO_ON = "go_on"


class FeedbackKind(IntEnum):
    """What a policy must be told in order to learn. Each kind holds those before it.

    - ``NOTHING``: it never learns
    - ``ANSWERS``: what the exits said that the sample passed; so something new only of samples that went on
    - ``AUDITS``: besides, now and then what the last exit says of a sample that stopped early, with the probability
      that it was chosen; where audits are labelled, of some of these and of those that went on the truth as well
    - ``TRUTH``: the truth of every sample, of those it stopped as well

    Examples
    --------
    >>> FeedbackKind.AUDITS >= FeedbackKind.ANSWERS
    True
    """

    NOTHING = 0
    ANSWERS = 1
    AUDITS = 2
    TRUTH = 3


class Arrival(NamedTuple):
    """A sample before anything of it is computed.

    ``features`` (d,) are what is nearly free to know (the mean of its embeddings, statistics of a thumbnail); ``price``
    is what going on costs this sample, in units of one mistake, ``None`` where it is the setting's; ``context`` numbers
    the kind of data, where somebody knows it.
    """

    sample: int
    features: NDArray[np.float32] | None = None
    price: float | None = None
    context: int = 0


class View(NamedTuple):
    """What a policy sees when a sample stands at an early exit.

    ``sample`` numbers the samples; ``confidence`` is the calibrated one of this exit, in float32 as the segment reports
    it, or the score of the plan's gate where that is another; ``elapsed_s`` counts from the sample's arrival; ``label``
    is what this exit says; ``runner_up`` the second largest calibrated probability; ``price`` and ``context`` as in
    `Arrival`.
    """

    sample: int
    exit: int
    confidence: float
    elapsed_s: float = 0.0
    label: int | None = None
    runner_up: float = 0.0
    price: float | None = None
    context: int = 0


class Feedback(NamedTuple):
    """What became known of a sample, perhaps much later, perhaps twice, perhaps never.

    ``exit`` it left by; ``correct`` says whether that answer was right, ``None`` where nobody knows; ``latency_s`` from
    arrival to answer. ``labels`` and ``confidences`` hold one item per exit, ``None`` where the exit was not run.
    ``truth`` is the true label; ``propensity`` the probability with which this sample was chosen to hear what the last
    exit says of it (1 where it went on of itself); ``label_propensity`` that with which such a sample is chosen to have
    its truth told, whether it was or not (0 where truths are not drawn).
    """

    sample: int
    exit: int
    correct: bool | None = None
    latency_s: float | None = None
    labels: tuple[int | None, ...] = ()
    confidences: tuple[float | None, ...] = ()
    truth: int | None = None
    propensity: float = 1.0
    label_propensity: float = 0.0


class Policy(ABC):
    """Decides sample by sample. Found by entry point (group ``offramp.policies``).

    A policy owns its random generator, made from the seed it is started with, and reads no clock: the same views and
    feedback give the same decisions in replay, in simulation and live. It keeps no more of a sample than it needs
    until its feedback comes, and a bounded number of samples of which none comes.

    ``feedback`` says what it must be told; nobody tells it more.
    """

    name: ClassVar[str]
    feedback: ClassVar[FeedbackKind] = FeedbackKind.NOTHING

    @classmethod
    @abstractmethod
    def start(cls, setting: Setting, seed: int = 0) -> Policy:
        """A fresh policy in this setting.

        Raises
        ------
        ConfigError : the setting lacks what this policy needs, or holds what it cannot do
        """

    def route(self, arrival: Arrival) -> int:
        """The exit to go to at once, before anything is computed; 0, the first, unless a policy says otherwise."""
        return 0

    @abstractmethod
    def decide(self, view: View) -> Action:
        """Stop at this exit, or go on. Never called for the last exit."""

    def answer(self, view: View) -> int | None:
        """What to say for a sample stopped here: what the exit says, unless a policy weighs mistakes unequally."""
        return view.label

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
