"""Skipping the local model where it would surely pass the sample on."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.ridge import fit_ridge
from offramp.errors import ConfigError
from offramp.policies.base import Action, Arrival, Feedback, Policy, View
from offramp.policies.checks import require_one_early_exit
from offramp.policies.hindsight import HindsightThreshold
from offramp.policies.setting import Setting

__all__ = ["Router", "break_even", "fit_acceptance"]

Floats = NDArray[np.float64]


def break_even(local: float, remote: float, spared: float = 0.0) -> float:
    """The acceptance below which skipping the local model is cheaper.

    With a = P(the local answer is accepted), asking the local model first costs ``local + (1 - a) (remote + ...)`` and
    skipping it ``remote + ...``; so skip where ``a < local / (remote + spared)``.

    Parameters
    ----------
    local : what computing locally costs, d
    remote : what going on costs, S: the price of sending and computing there
    spared : mistakes of the remote less those of the local answer, per sample accepted: what accepting spares besides

    Raises
    ------
    ConfigError : costs below 0

    Examples
    --------
    >>> break_even(local=0.05, remote=0.2)
    0.25
    >>> break_even(local=0.05, remote=0.0)  # going on costs nothing: skip always
    inf
    """
    if not (local >= 0.0 and remote >= 0.0):
        raise ConfigError(f"costs must not be below 0, not {local} and {remote}")
    worth = remote + spared
    return local / worth if worth > 0.0 else math.inf


def fit_acceptance(features: NDArray[np.floating], accepted: NDArray[np.bool_]) -> tuple[float, ...]:
    """(1 + d,) weights of the log-odds that a local answer is accepted; the constant first.

    Parameters
    ----------
    features : (n, d) known before anything is computed
    accepted : (n,)

    Raises
    ------
    NotEnoughSamples : fewer than 20 rows
    """
    rows = np.asarray(features, np.float64)
    mean, deviation = rows.mean(0), rows.std(0)
    spread = np.where(deviation > 1e-9, deviation, 1.0)
    scaled = np.concatenate([np.ones((len(rows), 1)), (rows - mean) / spread], 1)
    fitted = fit_ridge(scaled, accepted).weights
    slopes = fitted[1:] / spread
    return (float(fitted[0] - slopes @ mean), *slopes.tolist())


class Router(Policy):
    """Sends a sample to the last exit at once where a logistic model says the local answer would hardly be accepted.

    What is not skipped goes to another policy, which decides at the exits. Of skipped samples that policy never hears.

    Parameters
    ----------
    inner : decides on what is not skipped
    weights : (1 + d,) of the log-odds of being accepted, on the arrival's features; the constant first
    limit : skip where the estimated acceptance is below; see `break_even`
    last : the exit skipped to

    Source: the break-even of cascades and routers; see methods/dimee.md.

    Examples
    --------
    >>> from offramp.policies.fixed import FixedGates
    >>> router = Router(FixedGates([0.8]), weights=(0.0, 1.0), limit=0.25, last=1)
    >>> router.route(Arrival(0, np.array([-2.0]))), router.route(Arrival(1, np.array([2.0])))
    (1, 0)
    """

    name = "router"

    def __init__(self, inner: Policy, weights: Sequence[float], limit: float, last: int) -> None:
        self.inner, self.last, self.limit = inner, last, float(limit)
        self.weights = tuple(float(weight) for weight in weights)
        if not all(map(math.isfinite, self.weights)) or not self.weights or math.isnan(self.limit) or last < 1:
            raise ConfigError("a router needs finite weights, a limit, and a later exit to skip to")
        self.feedback = inner.feedback  # type: ignore[misc]  # the class's of every other policy; here the inner one's
        self._slopes = np.array(self.weights[1:])

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> Router:
        """Behind it the threshold that is best on the labelled rows."""
        require_one_early_exit(setting, cls.name)
        rows = setting.rows
        if rows is None or not rows.features.size:
            raise ConfigError(f"policy {cls.name!r} needs labelled rows with features; the setting has none")
        inner = HindsightThreshold.start(setting)
        (threshold,) = inner.thresholds
        accepted = rows.confidence[0] >= np.float32(np.inf if threshold is None else threshold)
        wrong = ~rows.right
        spared = float((wrong[1][accepted] * 1.0 - wrong[0][accepted]).mean()) if accepted.any() else 0.0
        local, total = setting.layer_costs or (0.0, 0.0)
        limit = break_even(local, setting.price + total - local, spared)
        return cls(inner, fit_acceptance(rows.features, accepted), limit, last=1)

    def acceptance(self, features: NDArray[np.floating]) -> float:
        """Estimated probability that the local answer is accepted."""
        return 0.5 + 0.5 * math.tanh(0.5 * (self.weights[0] + float(self._slopes @ features)))

    def route(self, arrival: Arrival) -> int:
        if arrival.features is not None and self.acceptance(arrival.features) < self.limit:
            return self.last
        return self.inner.route(arrival)

    def decide(self, view: View) -> Action:
        return self.inner.decide(view)

    def answer(self, view: View) -> int | None:
        return self.inner.answer(view)

    def learn(self, feedback: Feedback) -> None:
        self.inner.learn(feedback)

    def to_json(self) -> str:
        body = {"name": self.name, "weights": self.weights, "limit": _written(self.limit), "last": self.last}
        return json.dumps({**body, "inner": {"name": self.inner.name, "state": self.inner.to_json()}})

    @classmethod
    def from_json(cls, text: str) -> Router:
        from offramp.policies.registry import policy_named

        try:
            body = json.loads(text)
            if body["name"] != cls.name:
                raise ValueError(f"it is one of policy {body['name']!r}")
            inner = policy_named(body["inner"]["name"]).from_json(body["inner"]["state"])
            limit = math.inf if body["limit"] is None else float(body["limit"])
            return cls(inner, body["weights"], limit, int(body["last"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"not a state of policy {cls.name!r}: {error}") from error

    def __repr__(self) -> str:
        return f"Router({self.inner!r}, weights={self.weights!r}, limit={self.limit!r}, last={self.last!r})"


def _written(limit: float) -> float | None:
    """JSON knows no infinity."""
    return None if math.isinf(limit) else limit
