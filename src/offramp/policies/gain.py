"""Going on where the estimated gain is above the price."""

from __future__ import annotations

import json
from typing import ClassVar

import numpy as np

from offramp.errors import ConfigError
from offramp.policies.base import Action, Feedback, Policy, View
from offramp.policies.checks import refuse_view
from offramp.policies.setting import Setting

__all__ = ["GainDecider"]


class GainDecider(Policy):
    """Stops where the gain that a plan's gain gate estimates is at most the price of going on.

    What it sees as the confidence is the score of such a gate, (1 - gain) / 2. The price is the view's, or the
    setting's where the view has none; so one fitted gate serves every price.

    Parameters
    ----------
    price : in [0, 1), of going on, in units of one mistake

    Source: Chow's rule; `offramp.confidence.gates.gain` estimates the gain.

    Examples
    --------
    >>> policy = GainDecider(price=0.2)
    >>> policy.decide(View(sample=0, exit=0, confidence=0.45))  # a gain of 0.1
    <Action.STOP: 'stop'>
    >>> policy.decide(View(sample=1, exit=0, confidence=0.45, price=0.05))
    <Action.GO_ON: 'go_on'>
    """

    name = "gain"
    #: the kind of gate whose score it sees
    reads: ClassVar[str] = "gain"

    def __init__(self, price: float) -> None:
        self.price = Setting((), price=price).price  # checked there
        self._threshold = np.float32((1.0 - price) / 2.0)

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> GainDecider:
        return cls(setting.price)

    def decide(self, view: View) -> Action:
        refuse_view(view)
        threshold = self._threshold if view.price is None else np.float32((1.0 - view.price) / 2.0)
        return Action.STOP if np.float32(view.confidence) >= threshold else Action.GO_ON

    def learn(self, feedback: Feedback) -> None:
        """There is nothing to learn."""

    def to_json(self) -> str:
        return json.dumps({"name": self.name, "price": self.price})

    @classmethod
    def from_json(cls, text: str) -> GainDecider:
        try:
            body = json.loads(text)
            if body["name"] != cls.name:
                raise ValueError(f"it is one of policy {body['name']!r}")
            return cls(float(body["price"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"not a state of policy {cls.name!r}: {error}") from error

    def __repr__(self) -> str:
        return f"GainDecider(price={self.price!r})"
