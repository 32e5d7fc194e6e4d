"""Whether a better plan is worth switching to."""

from __future__ import annotations

import json
import math
from typing import Any

from offramp.errors import ConfigError, SampleError

__all__ = ["Hysteresis", "worth"]


def worth(current_cost: float, best_cost: float, switching_cost: float, horizon: float) -> bool:
    """Whether what is gained until the horizon exceeds what the switch costs.

    Parameters
    ----------
    current_cost, best_cost : of one request, in any unit, zero or more; infinite where the plan cannot work
    switching_cost : of one switch, in the same unit
    horizon : requests that the better plan is expected to serve

    Raises
    ------
    ConfigError : a switching cost or horizon that is negative, infinite or NaN
    SampleError : a cost that is negative or NaN

    Examples
    --------
    >>> worth(current_cost=0.10, best_cost=0.08, switching_cost=1.0, horizon=100)
    True
    >>> worth(current_cost=0.10, best_cost=0.08, switching_cost=1.0, horizon=20)
    False
    >>> worth(float("inf"), 0.5, switching_cost=1e9, horizon=1), worth(float("inf"), float("inf"), 0.0, 1)
    (True, False)
    """
    _check(switching_cost=switching_cost, horizon=horizon)
    for name, cost in (("current_cost", current_cost), ("best_cost", best_cost)):
        if not cost >= 0:  # NaN is not
            raise SampleError(f"hysteresis: {name} must be zero or more, not {cost}")
    if math.isinf(best_cost):
        return False
    if math.isinf(current_cost):
        return True
    return (current_cost - best_cost) * horizon > switching_cost


class Hysteresis:
    """Keeps a plan until another is worth the switch, and at least for ``dwell_s``.

    A plan that cannot work (infinite cost, as a link in an outage gives) is left at once.

    Parameters
    ----------
    switching_cost : of one switch, in the unit of the costs
    horizon : requests that a new plan is expected to serve
    dwell_s : least seconds from one switch to the next

    Raises
    ------
    ConfigError : one of them is negative, infinite or NaN

    Examples
    --------
    >>> hysteresis = Hysteresis(switching_cost=1.0, horizon=100, dwell_s=5.0)
    >>> hysteresis.decide(current_cost=0.10, best_cost=0.08, now_s=0.0)
    True
    >>> hysteresis.decide(current_cost=0.10, best_cost=0.08, now_s=4.0)
    False
    >>> hysteresis.decide(current_cost=float("inf"), best_cost=0.5, now_s=4.0)
    True
    >>> Hysteresis.from_json(hysteresis.to_json()) == hysteresis
    True
    """

    __slots__ = ("dwell_s", "horizon", "last_s", "switched_s", "switching_cost")

    def __init__(self, switching_cost: float = 0.0, horizon: float = 1.0, dwell_s: float = 0.0) -> None:
        _check(switching_cost=switching_cost, horizon=horizon, dwell_s=dwell_s)
        self.switching_cost, self.horizon, self.dwell_s = float(switching_cost), float(horizon), float(dwell_s)
        #: when it last said yes, and when it was last asked; ``None`` before
        self.switched_s: float | None = None
        self.last_s: float | None = None

    def decide(self, current_cost: float, best_cost: float, now_s: float) -> bool:
        """Whether to switch now; a yes is taken as done and starts the dwell time.

        Raises
        ------
        SampleError : a cost that is negative or NaN, or a time that is no number or goes back
        """
        if not math.isfinite(now_s) or (self.last_s is not None and now_s < self.last_s):
            raise SampleError(f"hysteresis: now_s must not go back, but {now_s} follows {self.last_s}")
        better = worth(current_cost, best_cost, self.switching_cost, self.horizon)
        self.last_s = float(now_s)
        dwells = self.switched_s is not None and now_s - self.switched_s < self.dwell_s
        if not better or (dwells and math.isfinite(current_cost)):
            return False
        self.switched_s = self.last_s
        return True

    def to_json(self) -> str:
        """One line of JSON with settings and state."""
        return json.dumps({"version": 1, **{name: getattr(self, name) for name in self.__slots__}})

    @classmethod
    def from_json(cls, text: str) -> Hysteresis:
        """Read it back; it goes on where it was.

        Raises
        ------
        ConfigError : not a hysteresis of this version
        """
        try:
            body: dict[str, Any] = json.loads(text)
            if body.pop("version") != 1:
                raise ValueError("it is not of version 1")
            times = [body.pop(name) for name in ("switched_s", "last_s")]
            if any(time_s is not None and not math.isfinite(time_s) for time_s in times):
                raise ValueError("a time is no number")
            hysteresis = cls(**body)
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise ConfigError(f"not a hysteresis ({error}); start a new one") from error
        hysteresis.switched_s, hysteresis.last_s = times
        return hysteresis

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hysteresis) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]  # its state changes

    def __repr__(self) -> str:
        return f"Hysteresis(switching_cost={self.switching_cost!r}, horizon={self.horizon!r}, dwell_s={self.dwell_s!r})"


def _check(**settings: float) -> None:
    for name, value in settings.items():
        if not (math.isfinite(value) and value >= 0):
            raise ConfigError(f"hysteresis: {name} must be zero or more, not {value}")
