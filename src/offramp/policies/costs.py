"""What a replay cost, in units of one mistake."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError
from offramp.policies.mistakes import cost_of_mistakes
from offramp.policies.replay import PolicyReplay
from offramp.policies.setting import Setting
from offramp.policies.stream import Stream

__all__ = ["Account", "Costs", "Late"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Late:
    """When an answer comes too late, and what that costs.

    Parameters
    ----------
    latency_s : (E,) from arrival to the answer of each exit, or (E, n) of each sample of the stream
    deadline_s : an answer after it is late
    price : of a late answer, besides what its mistake costs; ``None`` counts a late answer as a mistake

    Raises
    ------
    ConfigError : a latency or deadline that is no positive number, or a price below 0
    """

    latency_s: Floats
    deadline_s: float
    price: float | None = None

    def __post_init__(self) -> None:
        if not np.all(np.asarray(self.latency_s) >= 0.0):  # NaN fails
            raise ConfigError("latencies must be numbers not below 0")
        if not self.deadline_s > 0.0:
            raise ConfigError(f"a deadline must be a positive number of seconds, not {self.deadline_s}")
        if self.price is not None and not 0.0 <= self.price < math.inf:
            raise ConfigError(f"the price of a late answer must be a number not below 0, not {self.price}")

    def of(self, exits: int, rows: int) -> NDArray[np.bool_]:
        """(E, n) whether the answer of an exit is late."""
        latency_s = np.asarray(self.latency_s, np.float64)
        if latency_s.shape not in ((exits,), (exits, rows)):
            raise ConfigError(f"latencies must be of shape ({exits},) or ({exits}, {rows}), not {latency_s.shape}")
        late = (latency_s.reshape(exits, -1) > self.deadline_s) & np.ones((exits, rows), bool)
        return np.asarray(late, bool)


@dataclass(frozen=True)
class Account:
    """What every sample of a replay cost, in the order asked, in units of one mistake.

    Parameters
    ----------
    mistakes, going_on, compute, late, audits : (n,) the parts
    """

    mistakes: Floats
    going_on: Floats
    compute: Floats
    late: Floats
    audits: Floats

    @property
    def each(self) -> Floats:
        """(n,) the sum of the parts."""
        return np.asarray(self.mistakes + self.going_on + self.compute + self.late + self.audits)

    @property
    def total(self) -> float:
        """Of all samples."""
        return float(self.each.sum())

    @property
    def mean(self) -> float:
        """Per sample."""
        return float(self.each.mean())


@dataclass(frozen=True)
class Costs:
    """How paths are priced. A path is where a sample began, and the exit it left by.

    A path pays the computing from its first exit to its last, the price once for every time it went on (going
    somewhere at once, before anything is computed, is going on once), 1 for a mistake (or what that mistake costs), and
    what being late costs. An audit pays the price of going on once.

    Parameters
    ----------
    price : of going on, where the stream has none of its own
    layer_costs : (E,) of computing up to each exit, in units of one mistake; empty where computing is free
    remote_errors : charge a mistake of the last exit as one; ``False`` takes what it says for the truth, as the
        published setting does
    late : when an answer is late; ``None`` is never
    mistake_costs : of answering 1 where it is 0, and 0 where it is 1

    Raises
    ------
    ConfigError : a price outside [0, 1), layer costs below 0 or falling

    Examples
    --------
    >>> stream = Stream(np.array([[0.9, 0.4], [0.8, 0.7]]), np.array([[1, 0], [1, 1]]), np.array([1, 0]))
    >>> costs = Costs(price=0.25)
    >>> costs.of_paths(stream)[0].tolist()
    [[0.0, 0.0], [0.25, 1.25]]
    >>> Costs(price=0.25, remote_errors=False).of_paths(stream)[0].tolist()
    [[0.0, 1.0], [0.25, 0.25]]
    """

    price: float = 0.0
    layer_costs: tuple[float, ...] = ()
    remote_errors: bool = True
    late: Late | None = field(default=None, compare=False)
    mistake_costs: tuple[float, float] = (1.0, 1.0)

    def __post_init__(self) -> None:
        if not 0.0 <= self.price < 1.0:
            raise ConfigError(f"the price of going on, in units of one mistake, must lie in [0, 1), not {self.price}")
        steps = np.diff(self.layer_costs, prepend=0.0)
        if not np.all(steps >= 0.0):  # NaN fails
            raise ConfigError(f"layer costs add up from exit to exit and never fall, not {list(self.layer_costs)}")

    @classmethod
    def of_setting(cls, setting: Setting, *, remote_errors: bool = True, late: Late | None = None) -> Costs:
        """The prices a policy was started with."""
        return cls(setting.price, setting.layer_costs, remote_errors, late, setting.mistake_costs)

    def compute(self, exits: int) -> Floats:
        """(E, E) of computing from the exit a path began with to the one it left by; infinite where it cannot."""
        if self.layer_costs and len(self.layer_costs) != exits:
            raise ConfigError(f"{len(self.layer_costs)} layer costs for {exits} exits; give one per exit")
        upto = np.array(self.layer_costs or (0.0,) * exits, np.float64)
        before = np.concatenate([[0.0], upto[:-1]])
        return np.where(np.tri(exits, dtype=bool).T, upto[None, :] - before[:, None], np.inf)

    def of_paths(self, stream: Stream) -> Floats:
        """(E, E, n) what each sample costs on each path (began, left); infinite where there is no such path."""
        exits, rows = stream.exits, len(stream)
        each = self._mistakes(stream) + self._late(stream)[0]
        paid = np.broadcast_to(self._price(stream), (rows,))
        return np.asarray(self.compute(exits)[:, :, None] + _steps(exits)[:, :, None] * paid + each[None])

    def account(self, replay: PolicyReplay, stream: Stream) -> Account:
        """What a replay over ``stream`` cost.

        Raises
        ------
        ConfigError : layer costs or latencies of another number of exits
        """
        row, began, left = replay.row, replay.begin, replay.exit
        truth = stream.truth if self.remote_errors else stream.predicted[-1]
        wrong = cost_of_mistakes(replay.label, truth[row], self.mistake_costs)
        extra, late = self._late(stream)
        if self.late is not None and self.late.price is None:
            wrong = np.maximum(wrong, late[left, row])
            extra = np.zeros_like(extra)
        paid = np.broadcast_to(self._price(stream), (len(stream),))[row]
        return Account(
            wrong,
            _steps(stream.exits)[began, left] * paid,
            self.compute(stream.exits)[began, left],
            extra[left, row],
            np.where(replay.audited, paid, 0.0),
        )

    def _price(self, stream: Stream) -> Floats:
        return np.asarray(self.price if stream.price is None else stream.price, np.float64)

    def _mistakes(self, stream: Stream) -> Floats:
        truth = stream.truth if self.remote_errors else stream.predicted[-1]
        return cost_of_mistakes(stream.predicted, truth, self.mistake_costs)

    def _late(self, stream: Stream) -> tuple[Floats, NDArray[np.bool_]]:
        """(E, n) what lateness adds to the mistake, and whether it is late."""
        shape = stream.predicted.shape
        if self.late is None:
            return np.zeros(shape), np.zeros(shape, bool)
        late = self.late.of(*shape)
        if self.late.price is not None:
            return np.asarray(late * self.late.price, np.float64), late
        return np.where(late, np.maximum(1.0 - self._mistakes(stream), 0.0), 0.0), late


def _steps(exits: int) -> Floats:
    """(E, E) how often a path goes on."""
    began, left = np.arange(exits)[:, None], np.arange(exits)[None, :]
    return np.asarray(np.maximum(left - began, 0) + (began > 0), np.float64)
