"""What learners at one early exit share: a price, draws, samples that wait, and their JSON."""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import Any, ClassVar, Self

from offramp.errors import ConfigError
from offramp.policies.base import Feedback, Policy
from offramp.policies.checks import require_one_early_exit
from offramp.policies.draws import Draws
from offramp.policies.pending import Pending
from offramp.policies.setting import Setting

__all__ = ["HORIZON", "Learner", "differs", "restore", "tuned_exploration"]

#: samples expected where the setting does not say
HORIZON = 10_000


class Learner(Policy):
    """A policy at one early exit that draws at random and waits for feedback.

    Subclasses are constructed from plain keyword arguments, which they pass on as ``settings``, and say what else is
    state in `_state` and `_take`.
    """

    exits: ClassVar[int] = 2

    def __init__(self, seed: int, settings: dict[str, Any]) -> None:
        self._settings = settings
        self._draws = Draws(seed)
        self._pending = Pending()

    @abstractmethod
    def _state(self) -> dict[str, Any]:
        """What was learned, in plain types."""

    @abstractmethod
    def _take(self, state: dict[str, Any]) -> None:
        """Take back what `_state` wrote; KeyError, TypeError or ValueError where it is none."""

    def to_json(self) -> str:
        """The whole state, the random generator included, as JSON."""
        body = {"name": self.name, "exits": self.exits, "settings": self._settings, "state": self._state()}
        return json.dumps(body | {"draws": self._draws.state(), "pending": self._pending.state()})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The policy that `to_json` wrote; it decides on as if never interrupted.

        Raises
        ------
        ConfigError : not a state of this policy
        """
        try:
            body = json.loads(text)
            if body["name"] != cls.name:
                raise ValueError(f"it is one of policy {body['name']!r}")
            policy = cls._made(body["settings"])
            policy._draws = Draws.from_state(body["draws"])
            policy._pending = Pending.from_state(body["pending"], policy._pending.most)
            policy._take(body["state"])
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise ConfigError(f"not a state of policy {cls.name!r}: {error}") from error
        return policy

    @classmethod
    def _made(cls, settings: dict[str, Any]) -> Self:
        """A fresh policy from the settings of a state."""
        return cls(**settings)

    def __repr__(self) -> str:
        settings = ", ".join(f"{key}={value!r}" for key, value in self._settings.items())
        return f"{type(self).__name__}({settings})"

    @classmethod
    def _checked(cls, setting: Setting) -> Setting:
        require_one_early_exit(setting, cls.name)
        return setting


def differs(feedback: Feedback, label: int | None) -> bool | None:
    """Whether the last exit says otherwise than the first; ``None`` where that is not told.

    Parameters
    ----------
    feedback : of the sample
    label : what the first exit said, as far as the view told

    Examples
    --------
    >>> differs(Feedback(0, 1, labels=(3, 5)), None), differs(Feedback(0, 0, labels=(3, None)), None)
    (True, None)
    """
    labels = feedback.labels
    if len(labels) < 2:
        return None
    here = labels[0] if label is None else label
    later = labels[-1]
    return None if here is None or later is None else here != later


def restore(kind: type[Policy], text: str, setting: Setting) -> Policy:
    """The policy that ``text`` holds, for the cascade of ``setting``.

    Raises
    ------
    ConfigError : not a state of this policy, or one for a cascade with another number of exits

    Examples
    --------
    >>> from offramp.policies.fixed import FixedGates
    >>> restore(FixedGates, FixedGates([0.5]).to_json(), Setting((0.5, None)))
    Traceback (most recent call last):
    offramp.errors.ConfigError: this state of policy 'fixed' is for a cascade with 2 exits, this one has 3; start a new one
    """  # noqa: E501  # one line is what is raised
    policy = kind.from_json(text)
    exits = json.loads(text).get("exits", setting.exits)
    if exits != setting.exits:
        raise ConfigError(
            f"this state of policy {kind.name!r} is for a cascade with {exits} exits, this one has {setting.exits}; "
            "start a new one"
        )
    return policy


def tuned_exploration(horizon: int, price: float, log_experts: float) -> tuple[float, float]:
    """Share of exploration eps and rate eta that minimise ``n beta eps + n eta / (2 eps) + L / eta``.

    Parameters
    ----------
    horizon : n
    price : beta
    log_experts : L

    Source: methods of HIL-N and H2T2; ``eps = min(1, (L / (2 n beta^2))^(1/3))``, ``eta = sqrt(2 eps L / n)``.

    Examples
    --------
    >>> share, rate = tuned_exploration(10_000, 0.2, 7.0)
    >>> round(share, 3), round(rate, 4)
    (0.206, 0.017)
    """
    scale = log_experts / (2.0 * horizon)
    share = 1.0 if price * price <= scale else (scale / (price * price)) ** (1.0 / 3.0)
    return share, (2.0 * share * log_experts / horizon) ** 0.5
