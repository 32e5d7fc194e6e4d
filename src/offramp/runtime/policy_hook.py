"""An online policy in the place of the gate at the first exit."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates import ExitEvidence, Gate
from offramp.policies.base import Action, Feedback, Policy, View
from offramp.runtime.route import Route

__all__ = ["PolicyHook"]


@dataclass(frozen=True)
class _PolicyGate(Gate):
    """Asks the policy; its score is that of the plan's gate."""

    hook: PolicyHook
    gate: Gate
    kind: ClassVar[str] = "policy"

    def score(self, evidence: ExitEvidence) -> NDArray[np.float32]:
        return self.gate.score(evidence)

    def stop(self, evidence: ExitEvidence) -> NDArray[np.bool_]:
        return self.hook.decide(self.gate.score(evidence))


class PolicyHook:
    """Shows a policy every sample at the first exit, and what became of it.

    Samples are numbered as they come to the exit. Views carry the score of the plan's gate (the calibrated confidence,
    where that is what it decides on) and no elapsed time. Feedback says the exit and the latency; whether the answer
    was right nobody here knows. One thread at a time may decide; learning may come from any.

    Parameters
    ----------
    policy : decides and learns

    Examples
    --------
    >>> from offramp.policies.fixed import FixedGates
    >>> hook = PolicyHook(FixedGates([0.9]))
    >>> hook.decide(np.array([0.95, 0.5], np.float32)), hook.taken()
    (array([ True, False]), range(0, 2))
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self._lock = threading.Lock()
        self._next = 0
        self._taken = range(0)

    def on(self, route: Route) -> Route:
        """The route, with the policy in the place of its first gate."""
        if not route.gates:
            return route
        first = _PolicyGate(None, self, route.gates[0])
        return replace(route, gates=(first, *route.gates[1:]))

    def decide(self, scores: NDArray[np.float32]) -> NDArray[np.bool_]:
        """(n,) which of the samples stop here."""
        begin, self._next = self._next, self._next + len(scores)
        self._taken = range(begin, self._next)
        with self._lock:
            said = [
                self.policy.decide(View(sample, 0, score)) is Action.STOP
                for sample, score in zip(self._taken, scores.tolist(), strict=True)
            ]
        return np.array(said, bool)

    def taken(self) -> range:
        """The samples of the last decision, once."""
        taken, self._taken = self._taken, range(0)
        return taken

    def learn(self, samples: Iterable[int], exits: Iterable[int], latency_s: float) -> None:
        """What became of samples, one exit each."""
        with self._lock:
            for sample, exit_index in zip(samples, exits, strict=True):
                self.policy.learn(Feedback(sample, exit_index, latency_s=latency_s))
