"""The alarm: an anytime-valid test that the loss of audited answers has stayed within its limit."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offramp.confidence.bounds.checks import check_level
from offramp.errors import ConfigError, SampleError

__all__ = ["Alarm", "first_alarms"]

Floats = NDArray[np.float64]
#: stakes, as shares of the largest that cannot lose more than all; each gets the same part of the capital
_SHARES = (1 / 2, 1 / 4, 1 / 8, 1 / 16, 1 / 32, 1 / 64)


class Alarm:
    """Raised when audited losses prove that their mean is above a limit.

    While the mean of each loss, given the past, is at most ``limit``, the alarm is raised with a probability of at most
    ``delta`` over its whole life, however long that is and however often one looks. An update takes constant time and
    the state is a few numbers.

    A player with a capital of 1 bets that losses are above the limit: a stake ``nu`` becomes
    ``nu * (1 + share * (loss - limit))``. Under the limit no such game has a gain on average, so by Ville's inequality
    the capital ever reaches ``1 / delta`` with probability at most ``delta``. Part of the capital enters the game at
    every update and the rest waits as cash, ``1 / log2(2 + n)`` after n updates; so after n good losses about
    ``1 / (n ln(n)^2)`` of it has lost nothing and finds a change soon.

    Audit at a rate that does not depend on what the answers turn out to be. Once raised, the alarm stays raised and
    further losses are not looked at; start a new one after acting on it (with ``delta / 2``, ``delta / 4``, ... the
    sum over all lives stays below ``delta``).

    Parameters
    ----------
    limit : tolerated mean loss, inside (low, high)
    delta : probability of a false alarm, in (0, 1)
    low, high : the least and the largest loss; -1 and 1 for signed losses

    Raises
    ------
    ConfigError : a limit outside the interval, or a delta outside (0, 1)

    Source: Ville 1939; Waudby-Smith and Ramdas 2023 for the bets; Shin, Ramdas and Rinaldo 2022 ("E-detectors") for
    weighted start times.

    Examples
    --------
    >>> alarm = Alarm(limit=0.05, delta=0.01)
    >>> any(alarm.update(0.0) for _ in range(1000))
    False
    >>> [alarm.update(1.0) for _ in range(8)]
    [False, False, False, False, False, False, False, True]
    >>> alarm.raised_at, alarm.since
    (1008, 1001)
    >>> Alarm.from_json(alarm.to_json()) == alarm
    True
    """

    __slots__ = ("_best", "_since", "_staked", "audited", "delta", "high", "limit", "low", "peak", "raised_at")

    def __init__(self, limit: float, delta: float, low: float = 0.0, high: float = 1.0) -> None:
        self.limit, self.delta, self.low, self.high = _checked(limit, delta, low, high)
        #: losses seen so far
        self.audited = 0
        #: losses seen when it was raised; ``None`` before
        self.raised_at: int | None = None
        #: highest capital so far
        self.peak = 1.0
        self._staked = [0.0] * len(_SHARES)
        self._best = [0.0] * len(_SHARES)  # per stake, of what entered at the one luckiest update
        self._since = [0] * len(_SHARES)  # that update

    def update(self, loss: float) -> bool:
        """Take the loss of one more audited answer; whether the alarm is raised.

        Raises
        ------
        SampleError : NaN, or outside [low, high]
        """
        if self.raised_at is not None:
            return True
        if not self.low <= loss <= self.high:  # NaN is outside too
            raise SampleError(f"the audited loss {loss} lies outside [{self.low:g}, {self.high:g}]")
        count = self.audited + 1
        left = 1.0 / math.log2(2 + count)
        enters = (1.0 / math.log2(1 + count) - left) / len(_SHARES)
        excess = (loss - self.limit) / (self.limit - self.low)
        capital = left
        staked, best = self._staked, self._best
        for index, share in enumerate(_SHARES):
            factor = 1.0 + share * excess
            staked[index] = (staked[index] + enters) * factor
            capital += staked[index]
            if best[index] < enters:
                best[index] = enters
                self._since[index] = count
            best[index] *= factor
        self.audited = count
        self.peak = max(self.peak, capital)
        if capital >= 1.0 / self.delta:
            self.raised_at = count
        return self.raised_at is not None

    @property
    def p_value(self) -> float:
        """Of "the mean has never been above the limit", valid at every time."""
        return 1.0 / self.peak

    @property
    def since(self) -> int | None:
        """From which loss on the excess is most evident: an estimate of when the change was; ``None`` before any."""
        return self._since[int(np.argmax(self._best))] or None

    def to_json(self) -> str:
        """One line of JSON with settings and state."""
        return json.dumps({key.removeprefix("_"): getattr(self, key) for key in self.__slots__})

    @classmethod
    def from_json(cls, text: str) -> Alarm:
        """Read an alarm back; it goes on where it was.

        Raises
        ------
        ConfigError : not an alarm
        """
        try:
            body: dict[str, Any] = json.loads(text)
            alarm = cls(body["limit"], body["delta"], body["low"], body["high"])
            alarm.audited, alarm.peak = int(body["audited"]), float(body["peak"])
            alarm.raised_at = None if body["raised_at"] is None else int(body["raised_at"])
            alarm._staked, alarm._best = _capital(body["staked"]), _capital(body["best"])
            alarm._since = [int(at) for at in body["since"]]
            if len(alarm._since) != len(_SHARES) or alarm.audited < 0:
                raise ValueError(f"{len(alarm._since)} start times for {len(_SHARES)} stakes")
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigError(f"not an alarm: {text[:60]!r}") from error
        return alarm

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Alarm) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]  # its state changes

    def __repr__(self) -> str:
        state = f"{self.audited} audited" if self.raised_at is None else f"raised at {self.raised_at}"
        return f"Alarm(limit={self.limit:g}, delta={self.delta:g}, low={self.low:g}, high={self.high:g}; {state})"


def first_alarms(
    losses: ArrayLike, limit: float, delta: float, low: float = 0.0, high: float = 1.0
) -> NDArray[np.int64]:
    """(m,) losses seen when the alarm is raised, for m streams at once; 0 where it never is.

    The same as one `Alarm` per stream, to rounding.

    Parameters
    ----------
    losses : (m, n) one stream per row, in time order

    Raises
    ------
    ConfigError : as `Alarm`
    SampleError : NaN, a loss outside [low, high], or not two dimensions

    Examples
    --------
    >>> first_alarms([[0.0] * 10, [1.0] * 10], limit=0.05, delta=0.01).tolist()
    [0, 4]
    """
    limit, delta, low, high = _checked(limit, delta, low, high)
    streams = np.asarray(losses)
    if streams.ndim != 2:
        raise SampleError(f"streams of losses have the shape (m, n), not {streams.shape}")
    if streams.size and not (streams.min() >= low and streams.max() <= high):
        raise SampleError(f"audited losses must lie in [{low:g}, {high:g}], and none may be NaN")
    raised = np.zeros(len(streams), np.int64)
    waiting = np.arange(len(streams))
    in_time = np.ascontiguousarray(streams.T)
    staked = np.zeros((len(_SHARES), len(streams)))
    shares = np.array(_SHARES)[:, None] / (limit - low)
    for count in range(1, len(in_time) + 1):
        left = 1.0 / math.log2(2 + count)
        staked += (1.0 / math.log2(1 + count) - left) / len(_SHARES)
        staked *= 1.0 + shares * (in_time[count - 1, waiting].astype(np.float64) - limit)
        over = staked.sum(0) >= 1.0 / delta - left
        if over.any():
            raised[waiting[over]] = count
            waiting, staked = waiting[~over], staked[:, ~over]
    return raised


def _checked(limit: float, delta: float, low: float, high: float) -> tuple[float, float, float, float]:
    if not low < limit < high:
        raise ConfigError(f"the limit of an alarm must lie inside ({low:g}, {high:g}), not at {limit}")
    return float(limit), check_level(float(delta)), float(low), float(high)


def _capital(values: Sequence[float]) -> list[float]:
    if len(values) != len(_SHARES) or not all(value >= 0 for value in values):
        raise ValueError("not capital")
    return [float(value) for value in values]
