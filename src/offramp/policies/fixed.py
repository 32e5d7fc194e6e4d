"""A plan's gates as a policy: thresholds that never move."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from offramp.errors import ConfigError
from offramp.policies.base import Action, Feedback, Policy, View
from offramp.policies.checks import refuse_view
from offramp.policies.setting import Setting

__all__ = ["FixedGates"]


class FixedGates(Policy):
    """Stop when the confidence reaches the exit's threshold; ``None`` never stops.

    Examples
    --------
    >>> policy = FixedGates([0.9, None])
    >>> policy.decide(View(sample=0, exit=0, confidence=0.95))
    <Action.STOP: 'stop'>
    >>> policy.decide(View(sample=0, exit=1, confidence=0.99))
    <Action.GO_ON: 'go_on'>
    """

    name = "fixed"

    def __init__(self, thresholds: Sequence[float | None]) -> None:
        self.thresholds = Setting(tuple(thresholds)).thresholds  # checked there
        # compared in float32, as the runtime compares them
        self._float32 = tuple(np.float32(np.inf if t is None else t) for t in self.thresholds)

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> FixedGates:
        return cls(setting.thresholds)

    def decide(self, view: View) -> Action:
        refuse_view(view)
        return Action.STOP if np.float32(view.confidence) >= self._float32[view.exit] else Action.GO_ON

    def learn(self, feedback: Feedback) -> None:
        """There is nothing to learn."""

    def to_json(self) -> str:
        return json.dumps({"name": self.name, "exits": len(self.thresholds) + 1, "thresholds": self.thresholds})

    @classmethod
    def from_json(cls, text: str) -> FixedGates:
        try:
            body = json.loads(text)
            if body["name"] != cls.name:
                raise ValueError(f"it is one of policy {body['name']!r}")
            return cls([None if t is None else float(t) for t in body["thresholds"]])
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"not a state of policy {cls.name!r}: {error}") from error

    def __repr__(self) -> str:
        return f"FixedGates({list(self.thresholds)!r})"
