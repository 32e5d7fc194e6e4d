"""An online policy in the place of the gates at the device's exits."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates import ExitEvidence, Gate
from offramp.errors import ConfigError
from offramp.policies.base import Action, Feedback, FeedbackKind, Policy, View
from offramp.runtime.route import Route

__all__ = ["PolicyHook"]

T = TypeVar("T")
#: samples of which it remembers what the exits said
REMEMBERED = 4096


@dataclass(frozen=True)
class _PolicyGate(Gate):
    """Asks the policy; its score is that of the plan's gate."""

    hook: PolicyHook
    gate: Gate
    kind: ClassVar[str] = "policy"

    @property
    def earlier_exits(self) -> int:
        return self.gate.earlier_exits

    def score(self, evidence: ExitEvidence) -> NDArray[np.float32]:
        return self.gate.score(evidence)

    def stop(self, evidence: ExitEvidence) -> NDArray[np.bool_]:
        return self.hook.decide(evidence.exit, self.gate.score(evidence), evidence.probabilities)


class PolicyHook:
    """Shows a policy every sample at every exit of the device, and what became of it.

    Samples are numbered as they come to the first exit. Views carry the score of the plan's gate (the calibrated
    confidence, where that is what it decides on), the label, the second probability and no elapsed time. The exits of
    later tiers are decided by the plan's gates there, and nobody asks a policy to route here. What it answers for a
    sample it stops is the answer's label; probabilities and confidence stay those of the exit.

    A policy hears what it says it needs: nothing but the exit and the latency; or what the exits said that the sample
    passed here, and the answer that came back; or besides, where the device audits, what the last exit says of a
    sample that stopped early, with the share of audits for its propensity. Whether an answer was right nobody here
    knows. One thread at a time may decide; learning may come from any.

    Parameters
    ----------
    policy : decides and learns

    Raises
    ------
    ConfigError : it needs to be told the truth

    Examples
    --------
    >>> from offramp.policies.fixed import FixedGates
    >>> hook = PolicyHook(FixedGates([0.9]))
    >>> sure = np.array([0.95, 0.5], np.float32)
    >>> hook.decide(0, sure, np.stack([sure, 1 - sure], 1)), hook.taken()
    (array([ True, False]), range(0, 2))
    """

    def __init__(self, policy: Policy) -> None:
        if policy.feedback is FeedbackKind.TRUTH:
            raise ConfigError(
                f"policy {policy.name!r} learns from the truth of every sample, which nobody knows here; use it in "
                "replay, or one that learns from answers or audits"
            )
        self.policy = policy
        self._lock = threading.Lock()
        self._next = 0
        self._taken = range(0)
        self._here: Sequence[int] = ()
        self._exits = 0
        self._tells = policy.feedback >= FeedbackKind.ANSWERS
        #: by sample, label and confidence at every exit passed so far
        self._said: dict[int, dict[int, tuple[int, float]]] = {}
        #: by sample, what to answer in the place of what the exit says
        self._instead: dict[int, int] = {}

    def on(self, route: Route) -> Route:
        """The route, with the policy in the place of its gates."""
        self._exits = len(route.gates) + 1
        return replace(route, gates=tuple(_PolicyGate(None, self, gate) for gate in route.gates))

    def decide(
        self, exit_index: int, scores: NDArray[np.float32], probabilities: NDArray[np.floating]
    ) -> NDArray[np.bool_]:
        """(n,) which of the samples stop at this exit; later exits see those that did not, in the same order.

        Parameters
        ----------
        exit_index : of the exit
        scores : (n,) of the plan's gate
        probabilities : (n, K)
        """
        labels = probabilities.argmax(-1).tolist()
        second = np.partition(probabilities, -2, axis=-1)[:, -2].tolist()
        with self._lock:
            if exit_index == 0:
                begin, self._next = self._next, self._next + len(scores)
                self._here = self._taken = range(begin, self._next)
            stops, on = [], []
            for sample, score, label, runner_up in zip(self._here, scores.tolist(), labels, second, strict=True):
                view = View(sample, exit_index, score, label=label, runner_up=runner_up)
                stop = self.policy.decide(view) is Action.STOP
                stops.append(stop)
                if not stop:
                    on.append(sample)
                elif (answer := self.policy.answer(view)) is not None and answer != label:
                    _bound(self._instead)[sample] = answer
                if self._tells:
                    self._remember(sample, exit_index, label, score)
            self._here = on
        return np.array(stops, bool)

    def taken(self) -> range:
        """The samples that came to the first exit last, once."""
        taken, self._taken = self._taken, range(0)
        return taken

    def learn(
        self,
        samples: Sequence[int],
        exits: Sequence[int],
        labels: Sequence[int],
        confidences: Sequence[float],
        latency_s: float,
    ) -> list[int]:
        """What became of samples: exit, label and confidence of the answer of each. Gives the labels to answer."""
        with self._lock:
            for sample, left, label, confidence in zip(samples, exits, labels, confidences, strict=True):
                if not self._tells:
                    self.policy.learn(Feedback(sample, left, latency_s=latency_s))
                    continue
                said = self._said.setdefault(sample, {})
                said.setdefault(left, (label, confidence))
                self.policy.learn(self._feedback(sample, left, said, latency_s))
                if self.policy.feedback is FeedbackKind.ANSWERS or left == self._exits - 1:
                    del self._said[sample]
            if not self._instead:
                return list(labels)
            return [self._instead.pop(sample, label) for sample, label in zip(samples, labels, strict=True)]

    def audited(self, sample: int, left: int, label: int, share: float) -> None:
        """What the last exit says of a sample that stopped early, drawn with a probability of ``share``."""
        with self._lock:
            if self.policy.feedback >= FeedbackKind.AUDITS:
                said = {**self._said.pop(sample, {}), self._exits - 1: (label, None)}
                self.policy.learn(self._feedback(sample, left, said, None, share))

    def _remember(self, sample: int, exit_index: int, label: int, score: float) -> None:
        if sample not in self._said:
            _bound(self._said)[sample] = {}
        self._said[sample][exit_index] = label, score

    def _feedback(
        self,
        sample: int,
        left: int,
        said: dict[int, tuple[int, float]] | dict[int, tuple[int, float | None]],
        latency_s: float | None,
        propensity: float = 1.0,
    ) -> Feedback:
        known = [said.get(index, (None, None)) for index in range(self._exits)]
        return Feedback(
            sample,
            left,
            latency_s=latency_s,
            labels=tuple(label for label, _ in known),
            confidences=tuple(confidence for _, confidence in known),
            propensity=propensity,
        )


def _bound(kept: dict[int, T]) -> dict[int, T]:
    """The same with room for one more: the oldest go."""
    while len(kept) >= REMEMBERED:
        del kept[next(iter(kept))]
    return kept
