"""What a policy is started in: prices, thresholds of a plan, labelled rows."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError

__all__ = ["LabelledRows", "Setting"]


@dataclass(frozen=True)
class LabelledRows:
    """Rows whose truth is known, to begin from.

    Parameters
    ----------
    confidence : (E, n) as the policy will see it
    predicted : (E, n) what each exit says
    truth : (n,) the labels
    runner_up : (E, n) the second largest probabilities; empty where no policy asks for them
    features : (n, d) known before anything is computed; empty where there are none
    dynamics : (epochs, n) probability of the truth after every epoch of training; empty where nobody kept it
    """

    confidence: NDArray[np.float32]
    predicted: NDArray[np.intp]
    truth: NDArray[np.intp]
    runner_up: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    features: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    dynamics: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))

    @property
    def right(self) -> NDArray[np.bool_]:
        """(E, n) whether the exit is right."""
        right: NDArray[np.bool_] = self.predicted == self.truth
        return right


@dataclass(frozen=True)
class Setting:
    """What holds when a policy starts. Costs are in units of one mistake.

    Parameters
    ----------
    thresholds : of a plan, one per early exit, ``None`` is off: what a policy begins from, or falls back to
    price : beta in [0, 1) of going on from the exit before, where a view does not carry its own
    layer_costs : (E,) of computing up to each exit; empty where computing is free
    horizon : samples expected, for rates that depend on it; ``None`` where unknown
    budget : going on allowed per sample (share, bytes or seconds, as the views price it); ``None`` is no limit
    classes : K
    rows : labelled rows to begin from; ``None`` where there are none
    mistake_costs : of answering 1 where it is 0, and 0 where it is 1, in units of one mistake; of two classes only

    Raises
    ------
    ConfigError : a price outside [0, 1), a threshold outside [0, 1], or numbers that do not fit each other

    Examples
    --------
    >>> Setting((0.9,), price=0.3).exits
    2
    """

    thresholds: tuple[float | None, ...]
    price: float = 0.0
    layer_costs: tuple[float, ...] = ()
    horizon: int | None = None
    budget: float | None = None
    classes: int = 2
    rows: LabelledRows | None = None
    mistake_costs: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        for threshold in self.thresholds:
            if threshold is not None and not 0.0 <= threshold <= 1.0:
                raise ConfigError(f"a threshold must lie in [0, 1], not {threshold}")
        if not 0.0 <= self.price < 1.0:
            raise ConfigError(f"the price of going on, in units of one mistake, must lie in [0, 1), not {self.price}")
        if self.layer_costs and len(self.layer_costs) != self.exits:
            raise ConfigError(f"{len(self.layer_costs)} layer costs for {self.exits} exits; give one per exit")
        if any(not math.isfinite(cost) or cost < 0 for cost in self.layer_costs):
            raise ConfigError(f"layer costs must be numbers not below 0, not {list(self.layer_costs)}")
        if self.horizon is not None and self.horizon < 1:
            raise ConfigError(f"the horizon must be at least one sample, not {self.horizon}")
        if self.budget is not None and not self.budget >= 0.0:
            raise ConfigError(f"the budget must not be below 0, not {self.budget}")
        if not all(0.0 < cost < math.inf for cost in self.mistake_costs):
            raise ConfigError(f"mistakes must cost more than 0, not {list(self.mistake_costs)}")
        if self.classes != 2 and self.mistake_costs != (1.0, 1.0):
            raise ConfigError(f"mistakes may cost differently where there are 2 classes, not {self.classes}")

    @property
    def exits(self) -> int:
        """E, the last one included."""
        return len(self.thresholds) + 1
