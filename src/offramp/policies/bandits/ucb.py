"""The learner that the bandit exits share: arms with an upper confidence index."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from offramp.errors import ConfigError
from offramp.policies.bandits.indices import INDICES

__all__ = ["Reward", "Ucb", "UcbOptions"]

#: an arm asked so often without a word is left alone while others are heard of
_PATIENCE = 32


class Reward(NamedTuple):
    """What an arm gave, or would have given."""

    arm: int
    value: float
    weight: float = 1.0


@dataclass(frozen=True)
class UcbOptions:
    """How to learn.

    Parameters
    ----------
    index : of `INDICES`
    exploration : factor of the bonus
    discount : in (0, 1]: what a round counts for after each round that follows
    window : rounds remembered; ``None`` remembers all

    Raises
    ------
    ConfigError : an unknown index, a factor that is no number from 0, a discount outside (0, 1], a window below 1,
        or both of them

    Examples
    --------
    >>> UcbOptions("ucb-v", discount=0.999)
    UcbOptions(index='ucb-v', exploration=1.0, discount=0.999, window=None)
    """

    index: str = "ucb1"
    exploration: float = 1.0
    discount: float = 1.0
    window: int | None = None

    def __post_init__(self) -> None:
        if self.index not in INDICES:
            raise ConfigError(f"unknown index {self.index!r}; known are {', '.join(INDICES)}")
        if not 0.0 <= self.exploration < float("inf"):
            raise ConfigError(f"the exploration factor must be a number from 0, not {self.exploration}")
        if not 0.0 < self.discount <= 1.0:
            raise ConfigError(f"the discount must lie in (0, 1], not {self.discount}")
        if self.window is not None and self.window < 1:
            raise ConfigError(f"the window must hold at least one round, not {self.window}")
        if self.window is not None and self.discount < 1.0:
            raise ConfigError("a bandit forgets by a discount or by a window, not by both")


class Ucb:
    """Arms that are each tried once, then the most hopeful one; ties go to the lower cost.

    Rewards may come late, for several arms at once (side observations), or never: an arm that stays unheard of
    after 32 tries is left alone while there are others.

    Parameters
    ----------
    costs : one per arm, for ties alone
    options : of learning
    span : width of the interval of the rewards
    first : the order in which arms are tried at first; default: cheap ones first

    Examples
    --------
    >>> learner = Ucb([0.0, 1.0])
    >>> for _ in range(100):
    ...     arm = learner.choose()
    ...     learner.learn([Reward(arm, (0.2, 0.8)[arm])])
    >>> learner.rounds, learner.heard[1] > 5 * learner.heard[0]
    (100.0, True)
    """

    def __init__(
        self,
        costs: Sequence[float],
        options: UcbOptions | None = None,
        *,
        span: float = 1.0,
        first: Sequence[int] | None = None,
    ) -> None:
        if not costs:
            raise ConfigError("a bandit needs at least one arm")
        self.options = options or UcbOptions()
        self.span = span
        self._by_cost = sorted(range(len(costs)), key=lambda arm: (costs[arm], arm))
        self._first = self._by_cost if first is None else list(first)
        self.asked = [0] * len(costs)
        self.heard = [0.0] * len(costs)
        self.sums = [0.0] * len(costs)
        self.squares = [0.0] * len(costs)
        self.rounds = 0.0
        self._window: deque[list[Reward]] = deque()

    def choose(self) -> int:
        """The arm to play now."""
        arm = self._untried()
        if arm is None:
            arm = self._most_hopeful()
        self.asked[arm] += 1
        return arm

    def _untried(self) -> int | None:
        waiting = [arm for arm in self._first if self.heard[arm] <= 0.0 and self.asked[arm] < _PATIENCE]
        return min(waiting, key=lambda arm: self.asked[arm]) if waiting else None

    def _most_hopeful(self) -> int:
        options, best, found = self.options, -float("inf"), self._by_cost[0]
        index, rounds = INDICES[options.index], self.rounds + 1.0
        for arm in self._by_cost:
            heard = self.heard[arm]
            if heard <= 0.0:
                continue
            mean = self.sums[arm] / heard
            variance = max(0.0, self.squares[arm] / heard - mean * mean)
            hope = index(mean, variance, heard, rounds, self.span, options.exploration)
            if hope > best + 1e-12:
                best, found = hope, arm
        return found

    def learn(self, rewards: Iterable[Reward]) -> None:
        """One round: what the arm played gave, and what is known of others; without any, no round is counted."""
        told = list(rewards)
        if not told:
            return
        options = self.options
        if options.discount < 1.0:
            self._fade(options.discount)
        self.rounds += 1.0
        self._add(told, 1.0)
        if options.window is not None:
            self._window.append(told)
            if len(self._window) > options.window:
                self.rounds -= 1.0
                self._add(self._window.popleft(), -1.0)

    def _add(self, told: list[Reward], sign: float) -> None:
        for arm, value, weight in told:
            self.heard[arm] += sign * weight
            self.sums[arm] += sign * weight * value
            self.squares[arm] += sign * weight * value * value
            if self.heard[arm] < 1e-9:
                self.heard[arm] = self.sums[arm] = self.squares[arm] = 0.0
                self.asked[arm] = 0

    def _fade(self, discount: float) -> None:
        self.rounds *= discount
        for values in (self.heard, self.sums, self.squares):
            values[:] = [discount * value for value in values]

    @property
    def best(self) -> int:
        """The arm of the highest mean among those heard of; the cheapest where none was."""
        known = [arm for arm in self._by_cost if self.heard[arm] > 0.0]
        return max(known, key=lambda arm: self.sums[arm] / self.heard[arm]) if known else self._by_cost[0]

    def state(self) -> dict[str, Any]:
        """What was learned, in plain types."""
        return {
            "asked": self.asked,
            "heard": self.heard,
            "sums": self.sums,
            "squares": self.squares,
            "rounds": self.rounds,
            "window": [[list(told) for told in each] for each in self._window],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take up what `state` wrote.

        Raises
        ------
        ValueError, KeyError, TypeError : not such a state, or one of another number of arms
        """
        for name, kind in (("asked", int), ("heard", float), ("sums", float), ("squares", float)):
            values = [kind(value) for value in state[name]]
            if len(values) != len(self._by_cost):
                raise ValueError(f"it has {len(values)} arms, not {len(self._by_cost)}")
            setattr(self, name, values)
        self.rounds = float(state["rounds"])
        self._window = deque(
            [[Reward(int(arm), float(value), float(weight)) for arm, value, weight in each] for each in state["window"]]
        )
