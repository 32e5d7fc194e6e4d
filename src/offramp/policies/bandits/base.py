"""What the bandit exits have in common: an arm is a row of thresholds, one for each early exit."""

from __future__ import annotations

import json
import math
from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import asdict
from enum import Enum
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np

from offramp.errors import ConfigError
from offramp.policies.bandits.ucb import Reward, Ucb, UcbOptions
from offramp.policies.base import Action, Feedback, FeedbackKind, Policy, View
from offramp.policies.checks import refuse_view
from offramp.policies.setting import Setting

__all__ = ["NEVER", "PENDING", "BanditPolicy", "Played", "RewardSource"]

#: threshold of an exit that stops nothing, and of one that stops all
NEVER, ALWAYS = math.inf, -math.inf
#: samples kept until their feedback comes; of more, the oldest is forgotten
PENDING = 4096


class RewardSource(Enum):
    """What a policy takes for being right, since nobody tells it."""

    CONFIDENCE = "confidence"
    AGREEMENT = "agreement with another exit"
    AUDITS = "agreement with the last exit, weighted by the chance to be audited"


class Played(NamedTuple):
    """An arm that was played for a sample."""

    arm: int
    context: int
    price: float


class BanditPolicy(Policy):
    """Plays one arm for each sample and learns its mean reward; every context has a learner of its own.

    Costs and rewards are in units of one mistake, and those of `offramp.policies.costs.Costs`: ``setting.layer_costs``
    price the layers up to the exit a sample leaves by (free where there are none), the price of the view or of the
    setting every time it went on.

    Parameters
    ----------
    setting : what holds
    options : of the learner; default `default_options`
    offload_once : count as the authors do, whose exits before the last are all on one device: one price for the whole
        way to the last exit, and no more
    """

    feedback = FeedbackKind.ANSWERS
    source: ClassVar[RewardSource]
    default_options: ClassVar[UcbOptions] = UcbOptions()

    def __init__(self, setting: Setting, options: UcbOptions | None = None, *, offload_once: bool = False) -> None:
        self.setting = setting
        self.offload_once = offload_once
        self.options = options or self.default_options
        self.layer_costs = setting.layer_costs or (0.0,) * setting.exits
        arms = self._arms()
        # as the exits report: compared in float32
        self._thresholds = [tuple(float(np.float32(t)) for t in arm) for arm in arms]
        self._learners: dict[int, Ucb] = {}
        self._pending: dict[int, Played] = {}

    @classmethod
    def start(cls, setting: Setting, seed: int = 0) -> Self:
        return cls(setting)

    @abstractmethod
    def _arms(self) -> list[tuple[float, ...]]:
        """(A, E - 1) thresholds: a sample stops at the first exit whose confidence reaches the arm's threshold."""

    @abstractmethod
    def _arm_costs(self) -> list[float]:
        """(A,) for ties."""

    @abstractmethod
    def _rewards(self, played: Played, told: Feedback) -> Iterable[Reward]:
        """What the feedback says of the arm played, and of others; nothing where it does not say enough."""

    def _span(self) -> float:
        """Width of the interval of the rewards."""
        return 1.0

    def _first(self) -> list[int] | None:
        """In which order arms are tried at first."""
        return None

    def learner(self, context: int = 0) -> Ucb:
        """The learner of a context."""
        if context not in self._learners:
            self._learners[context] = Ucb(self._arm_costs(), self.options, span=self._span(), first=self._first())
        return self._learners[context]

    def decide(self, view: View) -> Action:
        refuse_view(view)
        played = self._pending.get(view.sample)
        if played is None:
            played = self._play(view)
        return Action.STOP if view.confidence >= self._thresholds[played.arm][view.exit] else Action.GO_ON

    def _play(self, view: View) -> Played:
        price = self.setting.price if view.price is None else view.price
        played = Played(self.learner(view.context).choose(), view.context, price)
        self._pending[view.sample] = played
        if len(self._pending) > PENDING:
            del self._pending[next(iter(self._pending))]
        return played

    def learn(self, feedback: Feedback) -> None:
        played = self._pending.pop(feedback.sample, None)
        if played is not None and feedback.confidences:
            self.learner(played.context).learn(self._rewards(played, feedback))

    def _path_cost(self, exit_index: int, price: float) -> float:
        """Layers up to an exit, and the way there."""
        return self.layer_costs[exit_index] + self._hops(exit_index) * price

    def _hops(self, exit_index: int) -> int:
        """How often the price is paid on the way to an exit."""
        return int(exit_index == self.setting.exits - 1) if self.offload_once else exit_index

    def _learned(self) -> dict[str, Any]:
        """What a subclass has besides, in plain types."""
        return {}

    @classmethod
    def _revive(cls, setting: Setting, options: UcbOptions, offload_once: bool, learned: dict[str, Any]) -> Self:
        """A policy with what `_learned` wrote."""
        return cls(setting, options, offload_once=offload_once)

    def to_json(self) -> str:
        return json.dumps(
            {
                "name": self.name,
                "exits": self.setting.exits,
                "setting": _plain(self.setting),
                "options": asdict(self.options),
                "offload_once": self.offload_once,
                "learned": self._learned(),
                "contexts": [[context, learner.state()] for context, learner in self._learners.items()],
                "pending": [[sample, *played] for sample, played in self._pending.items()],
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        try:
            body = json.loads(text)
            if body["name"] != cls.name:
                raise ValueError(f"it is one of policy {body['name']!r}")
            options, once = UcbOptions(**body["options"]), bool(body["offload_once"])
            policy = cls._revive(_setting(body["setting"]), options, once, body["learned"])
            for context, state in body["contexts"]:
                policy.learner(int(context)).restore(state)
            for sample, arm, context, price in body["pending"]:
                policy._pending[int(sample)] = Played(int(arm), int(context), float(price))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(f"not a state of policy {cls.name!r}: {error}") from error
        return policy

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.setting!r}, {self.options!r}{self._counted})"

    @property
    def _counted(self) -> str:
        """For `repr`."""
        return ", offload_once=True" if self.offload_once else ""


def _plain(setting: Setting) -> dict[str, Any]:
    return {
        "thresholds": setting.thresholds,
        "price": setting.price,
        "layer_costs": setting.layer_costs,
        "classes": setting.classes,
    }


def _setting(body: dict[str, Any]) -> Setting:
    return Setting(
        tuple(body["thresholds"]),
        price=float(body["price"]),
        layer_costs=tuple(body["layer_costs"]),
        classes=int(body["classes"]),
    )
