"""The logistic decider on the two highest probabilities."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from offramp.confidence.gates.evidence import ExitEvidence
from offramp.confidence.gates.logistic import LogisticGate
from offramp.errors import ConfigError
from offramp.policies.base import Action, Feedback, Policy, View
from offramp.policies.checks import checked_confidence, checked_price
from offramp.policies.hindsight import best_threshold
from offramp.policies.setting import LabelledRows, Setting

__all__ = ["PUBLISHED", "LogisticDecider"]

#: (w0, w1, w2) of the authors' deployed deciders behind int8 local models
PUBLISHED: Mapping[str, tuple[float, float, float]] = MappingProxyType(
    {
        "cifar10-resnet8": (-4.63391351, 5.93658349, -3.04197074),
        "cifar10-resnet56": (-4.695974, 5.21640018, -3.70736749),
        "cifar10-alexnet": (-4.33089237, 5.39107836, -1.03445988),
        "imagenet-resnet18": (-3.02860354, 4.95192416, -1.7800178),
        "imagenet-resnet50": (-3.45594814, 5.11103057, -2.07690727),
    }
)
#: of the published rule "accept where the estimate is at least one half"
PUBLISHED_PRICE = 0.5


class LogisticDecider(Policy):
    """Estimates s = P(this exit is right) = sigmoid(w0 + w1 p1 + w2 p2); goes on where 1 - s - shared > price.

    With a remote that is always right, ``shared`` is 0 and that is the Bayes rule for a calibrated s. Mistakes the
    remote shares are not saved by going on; fitted, ``shared`` makes the rule the best threshold on s for the labelled
    rows. The price is the view's, or the setting's where the view has none.

    Parameters
    ----------
    weights : (w0, w1, w2)
    price : in [0, 1), of going on, in units of one mistake
    shared : in [-1, 1]

    Source: Behera, Morabito, Widmer, Champati 2024 (arXiv 2406.09424), the decider after the local model ("LRA").

    Examples
    --------
    >>> policy = LogisticDecider.published("cifar10-resnet8")
    >>> policy.decide(View(sample=0, exit=0, confidence=0.95, runner_up=0.03))
    <Action.STOP: 'stop'>
    >>> policy.decide(View(sample=1, exit=0, confidence=0.55, runner_up=0.40))
    <Action.GO_ON: 'go_on'>
    """

    name = "logistic"

    def __init__(self, weights: tuple[float, float, float], price: float, shared: float = 0.0) -> None:
        w0, w1, w2 = (float(weight) for weight in weights)
        if not all(map(math.isfinite, (w0, w1, w2, shared))):
            raise ConfigError("logistic decider: its weights must be three finite numbers")
        self.weights = (w0, w1, w2)
        self.price = Setting((), price=price).price  # checked there
        self.shared = float(shared)

    @classmethod
    def published(cls, local_model: str) -> LogisticDecider:
        """With the authors' weights: accept where s >= 1/2.

        Raises
        ------
        ConfigError : none are known for this local model
        """
        if local_model not in PUBLISHED:
            raise ConfigError(f"no published weights for {local_model!r}; there are those of {', '.join(PUBLISHED)}")
        return cls(PUBLISHED[local_model], PUBLISHED_PRICE)

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> LogisticDecider:
        rows = setting.rows
        if rows is None or not rows.runner_up.size:
            raise ConfigError(
                f"policy {cls.name!r} is fitted on labelled rows with their second probabilities, but the setting has "
                "none"
            )
        if setting.exits != 2:
            raise ConfigError(
                f"policy {cls.name!r} decides at one early exit, but here are {setting.exits - 1}; choose one of them"
            )
        evidence = _evidence(rows)
        gate = LogisticGate.fit(evidence, rows.right[0])
        wrong = ~rows.right
        cut = best_threshold(gate.score(evidence), wrong[0], setting.price + wrong[1])
        if math.isinf(cut):  # at every price in [0, 1) all stop, or all go on
            return cls(gate.weights, setting.price, 1.0 if cut < 0 else -1.0)
        return cls(gate.weights, setting.price, 1.0 - cut - setting.price)

    def right(self, first: float, second: float) -> float:
        """s, from the two highest probabilities."""
        w0, w1, w2 = self.weights
        return 0.5 + 0.5 * math.tanh(0.5 * (w0 + w1 * first + w2 * second))

    def decide(self, view: View) -> Action:
        price = checked_price(view, self.price)
        wrong = 1.0 - self.right(checked_confidence(view), view.runner_up)
        return Action.GO_ON if wrong - self.shared > price + _ROUNDING else Action.STOP

    def learn(self, feedback: Feedback) -> None:
        """There is nothing to learn."""

    def to_json(self) -> str:
        body = {"name": self.name, "weights": self.weights, "price": self.price, "shared": self.shared}
        return json.dumps(body)

    @classmethod
    def from_json(cls, text: str) -> LogisticDecider:
        try:
            body = json.loads(text)
            if body["name"] != cls.name:
                raise ValueError(f"it is one of policy {body['name']!r}")
            w0, w1, w2 = (float(weight) for weight in body["weights"])
            return cls((w0, w1, w2), float(body["price"]), float(body["shared"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"not a state of policy {cls.name!r}: {error}") from error

    def __repr__(self) -> str:
        return f"LogisticDecider({self.weights!r}, price={self.price!r}, shared={self.shared!r})"


#: the cut is a float32 score; a row at the cut stops
_ROUNDING = 1e-7


def _evidence(rows: LabelledRows) -> ExitEvidence:
    """Of the first exit, as far as two probabilities tell it."""
    both = np.stack([rows.confidence[0], rows.runner_up[0]], 1)
    return ExitEvidence(0, rows.confidence[0], both)
