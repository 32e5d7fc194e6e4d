"""Estimators of a link's bandwidth from the transfers that were made."""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections import deque
from typing import Any, ClassVar

import numpy as np

from offramp.errors import ConfigError, SampleError

__all__ = ["Estimator", "Ewma", "HarmonicMean", "WindowQuantile", "estimator_from_json"]


class Estimator(ABC):
    """Says what a link gives now, from what it has given.

    An observation of 0 bit/s is an outage and counts like any other; so does a transfer that took for ever
    (``seconds`` is infinite). What is no observation (NaN, negative, infinite bandwidth, no bytes, no time) is refused
    and changes nothing.

    Parameters
    ----------
    initial_bps : the answer before the first observation, as declared in the network file

    Raises
    ------
    ConfigError : ``initial_bps`` is negative, infinite or NaN
    """

    name: ClassVar[str]

    def __init__(self, initial_bps: float) -> None:
        if not (math.isfinite(initial_bps) and initial_bps >= 0):
            raise ConfigError(f"{self.name}: initial_bps must be zero or more, not {initial_bps}")
        self.initial_bps = float(initial_bps)
        #: when the last transfer ended; ``None`` before, and where only `update` is used
        self.last_s: float | None = None

    @property
    @abstractmethod
    def bandwidth_bps(self) -> float:
        """Bits per second one may count on; 0 in an outage."""

    def observe(self, payload_bytes: float, seconds: float, now_s: float) -> None:
        """Take one transfer.

        Parameters
        ----------
        payload_bytes : what was sent, above 0
        seconds : how long the link was busy with it, round trip not counted; infinite if it never arrived
        now_s : when it ended, on any clock that does not go back

        Raises
        ------
        SampleError : one of them is no such number, or ``now_s`` lies before that of the last transfer
        """
        if not (math.isfinite(payload_bytes) and payload_bytes > 0):
            raise SampleError(f"{self.name}: a transfer must have bytes, not {payload_bytes}")
        if not seconds > 0:  # NaN is not
            raise SampleError(f"{self.name}: a transfer of {payload_bytes:g} bytes must take time, not {seconds} s")
        if not math.isfinite(now_s) or (self.last_s is not None and now_s < self.last_s):
            raise SampleError(f"{self.name}: now_s must not go back, but {now_s} follows {self.last_s}")
        self.update(payload_bytes * 8.0 / seconds)
        self.last_s = float(now_s)

    def update(self, bandwidth_bps: float) -> None:
        """Take one bandwidth, as from a row of a trace.

        Raises
        ------
        SampleError : negative, infinite or NaN
        """
        if not (math.isfinite(bandwidth_bps) and bandwidth_bps >= 0):
            raise SampleError(f"{self.name}: an observed bandwidth must be zero or more bit/s, not {bandwidth_bps}")
        self._take(float(bandwidth_bps))

    @abstractmethod
    def _take(self, bandwidth_bps: float) -> None: ...

    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """Arguments of the constructor."""

    @abstractmethod
    def _seen(self) -> list[float]:
        """Bandwidths that bring a new estimator of these settings to this state."""

    def to_json(self) -> str:
        """One line of JSON with settings and state."""
        return json.dumps(
            {"version": 1, "name": self.name, **self._settings(), "seen": self._seen(), "last_s": self.last_s}
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Estimator) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]  # its state changes

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{key}={value!r}' for key, value in self._settings().items())})"


class Ewma(Estimator):
    """Exponentially weighted moving average: every observation moves it by ``weight`` of the way.

    Constant time. It overrates a link that jumps up and down, because the time of a transfer goes with the inverse of
    the bandwidth; `HarmonicMean` does not.

    Parameters
    ----------
    weight : of the newest observation, in (0, 1]

    Examples
    --------
    >>> estimator = Ewma(initial_bps=1e6, weight=0.5)
    >>> estimator.observe(payload_bytes=500_000, seconds=1.0, now_s=10.0)
    >>> estimator.update(2e6)
    >>> estimator.bandwidth_bps
    3000000.0
    """

    name = "ewma"

    def __init__(self, initial_bps: float, weight: float = 0.3) -> None:
        super().__init__(initial_bps)
        if not 0 < weight <= 1:
            raise ConfigError(f"{self.name}: weight must lie in (0, 1], not {weight}")
        self.weight = float(weight)
        self._level: float | None = None

    @property
    def bandwidth_bps(self) -> float:
        return self.initial_bps if self._level is None else self._level

    def _take(self, bandwidth_bps: float) -> None:
        level = bandwidth_bps if self._level is None else self._level
        self._level = level + self.weight * (bandwidth_bps - level)

    def _settings(self) -> dict[str, Any]:
        return {"initial_bps": self.initial_bps, "weight": self.weight}

    def _seen(self) -> list[float]:
        return [] if self._level is None else [self._level]


class _Window(Estimator):
    """What looks at the last ``window`` observations."""

    def __init__(self, initial_bps: float, window: int) -> None:
        super().__init__(initial_bps)
        if not (isinstance(window, int) and 1 <= window <= 100_000):
            raise ConfigError(f"{self.name}: window must be a number of observations from 1 to 100000, not {window!r}")
        self.window = window
        self._last: deque[float] = deque(maxlen=window)

    def _take(self, bandwidth_bps: float) -> None:
        self._last.append(bandwidth_bps)

    def _settings(self) -> dict[str, Any]:
        return {"initial_bps": self.initial_bps, "window": self.window}

    def _seen(self) -> list[float]:
        return list(self._last)


class HarmonicMean(_Window):
    """Harmonic mean of the last ``window`` observations: the rate at which equal payloads have gone on average.

    One outage among them makes it 0. O(window) time.

    Source: Jiang, Sekar and Zhang, CoNEXT 2012 (FESTIVE), who use the last 20.

    Examples
    --------
    >>> estimator = HarmonicMean(initial_bps=1e6, window=2)
    >>> for bandwidth_bps in (9e9, 1e6, 3e6):
    ...     estimator.update(bandwidth_bps)
    >>> estimator.bandwidth_bps
    1500000.0
    """

    name = "harmonic-mean"

    def __init__(self, initial_bps: float, window: int = 5) -> None:
        super().__init__(initial_bps, window)

    @property
    def bandwidth_bps(self) -> float:
        if not self._last:
            return self.initial_bps
        lowest = min(self._last)
        # relative to the lowest: no inverse of a tiny rate overflows
        return lowest and lowest * (len(self._last) / sum(lowest / bps for bps in self._last))


class WindowQuantile(_Window):
    """A low quantile of the last ``window`` observations: what the link has given most of the time.

    It is one of the observed values, the next lower one where the quantile falls between two. O(window) time.

    Parameters
    ----------
    quantile : in [0, 1]; 0 is the least of the window

    Examples
    --------
    >>> estimator = WindowQuantile(initial_bps=1e6, window=4, quantile=0.25)
    >>> for bandwidth_bps in (8e6, 2e6, 4e6, 1e6):
    ...     estimator.update(bandwidth_bps)
    >>> estimator.bandwidth_bps
    1000000.0
    """

    name = "window-quantile"

    def __init__(self, initial_bps: float, window: int = 20, quantile: float = 0.1) -> None:
        super().__init__(initial_bps, window)
        if not 0 <= quantile <= 1:
            raise ConfigError(f"{self.name}: quantile must lie in [0, 1], not {quantile}")
        self.quantile = float(quantile)

    @property
    def bandwidth_bps(self) -> float:
        if not self._last:
            return self.initial_bps
        rank = math.floor(self.quantile * (len(self._last) - 1))
        return float(np.partition(self._last, rank)[rank])

    def _settings(self) -> dict[str, Any]:
        return {**super()._settings(), "quantile": self.quantile}


_KINDS: dict[str, type[Estimator]] = {kind.name: kind for kind in (Ewma, HarmonicMean, WindowQuantile)}


def estimator_from_json(text: str) -> Estimator:
    """Read back what `Estimator.to_json` wrote; it goes on where it was.

    Raises
    ------
    ConfigError : not an estimator of this version

    Examples
    --------
    >>> estimator_from_json(HarmonicMean(initial_bps=1e6).to_json())
    HarmonicMean(initial_bps=1000000.0, window=5)
    """
    try:
        body: dict[str, Any] = json.loads(text)
        version, kind = body.pop("version"), _KINDS[body.pop("name")]
        if version != 1:
            raise ValueError(f"version {version}, but this release reads version 1")
        seen, last_s = body.pop("seen"), body.pop("last_s")
        estimator = kind(**body)
        for bandwidth_bps in seen:
            estimator.update(bandwidth_bps)
        if last_s is not None and not math.isfinite(last_s):
            raise ValueError(f"last_s is {last_s}")
        estimator.last_s = last_s
        return estimator
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ConfigError(f"not a bandwidth estimator ({error}); start a new one") from error
