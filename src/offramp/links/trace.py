"""Bandwidth over time."""

from __future__ import annotations

import csv
import gzip
import itertools
import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from offramp.errors import ConfigError

__all__ = ["Trace", "constant", "load_trace"]


@dataclass(frozen=True, slots=True)
class Trace:
    """A bandwidth that changes in steps.

    ``bandwidth_bps[i]`` holds from ``time_s[i]`` to ``time_s[i + 1]``; zero is an outage. The last
    value holds on for ever, or, with ``loop``, as long as the step before it, and then the trace
    starts again.

    Parameters
    ----------
    time_s : seconds, rising from 0
    bandwidth_bps : bits per second, zero or more, one for each time
    name : for messages and reports
    loop : start again at the end; needs at least two steps

    Raises
    ------
    ConfigError : one of these rules is broken

    Examples
    --------
    >>> trace = Trace((0.0, 1.0, 3.0), (8e3, 0.0, 16e3), "tunnel")
    >>> trace.at(2.0)
    0.0
    >>> trace.finish_s(0.5, 1000)
    3.25
    """

    time_s: tuple[float, ...]
    bandwidth_bps: tuple[float, ...]
    name: str = "trace"
    loop: bool = False
    _period_bytes: float = field(default=math.inf, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.time_s) != len(self.bandwidth_bps):
            raise ConfigError(f"{self.name}: {len(self.time_s)} times, but {len(self.bandwidth_bps)} bandwidths")
        if not self.time_s:
            raise ConfigError(f"{self.name}: has no rows; a trace needs at least one")
        if self.time_s[0] != 0:
            raise ConfigError(f"{self.name}: time_s must start at 0, not {self.time_s[0]}")
        for row, (time_s, bps) in enumerate(zip(self.time_s, self.bandwidth_bps, strict=True)):
            if not math.isfinite(time_s):
                raise ConfigError(f"{self.name}: row {row}: time_s must be a number, not {time_s}")
            if row and time_s <= self.time_s[row - 1]:
                raise ConfigError(
                    f"{self.name}: row {row}: time_s must rise, but {time_s} follows {self.time_s[row - 1]}"
                )
            if not (math.isfinite(bps) and bps >= 0):
                raise ConfigError(f"{self.name}: row {row}: bandwidth_bps must be zero or more, not {bps}")
        if self.loop and len(self.time_s) < 2:
            raise ConfigError(f"{self.name}: a trace of one row cannot loop; it holds for ever anyway")
        if self.loop:
            object.__setattr__(self, "_period_bytes", self.bytes_between(0.0, self.period_s))

    @property
    def period_s(self) -> float:
        """Seconds until the trace starts again; infinite when it does not."""
        return 2 * self.time_s[-1] - self.time_s[-2] if self.loop else math.inf

    def at(self, t: float) -> float:
        """Bits per second at time ``t``; before 0 as at 0."""
        return self.bandwidth_bps[self._step(self._position(t)[1])]

    def bytes_between(self, begin_s: float, end_s: float) -> float:
        """Bytes a busy link carries from ``begin_s`` to ``end_s``.

        Examples
        --------
        >>> Trace((0.0, 1.0), (8.0, 16.0)).bytes_between(0.5, 2.0)
        2.5
        """
        bits = 0.0
        steps = self._steps_from(begin_s)
        while True:
            until_s, bps = next(steps)
            if until_s >= end_s:
                return (bits + bps * max(0.0, end_s - begin_s)) / 8
            bits += bps * (until_s - begin_s)
            begin_s = until_s

    def finish_s(self, begin_s: float, payload_bytes: float) -> float:
        """When the last byte is through if the first starts at ``begin_s``; infinite when it never is."""
        if payload_bytes <= 0:
            return begin_s
        if self._period_bytes == 0:
            return math.inf
        periods = max(0, math.ceil(payload_bytes / self._period_bytes) - 1)
        if periods:
            begin_s, payload_bytes = begin_s + periods * self.period_s, payload_bytes - periods * self._period_bytes
        bits = payload_bytes * 8.0
        steps = self._steps_from(begin_s)
        while True:
            until_s, bps = next(steps)
            capacity = bps * (until_s - begin_s) if bps else 0.0
            if bps and bits <= capacity:
                return begin_s + bits / bps
            if until_s == math.inf:
                return math.inf
            bits -= capacity
            begin_s = until_s

    def _position(self, t: float) -> tuple[int, float]:
        """How many periods lie before ``t``, and the time within its period."""
        if not self.loop or t < 0:
            return 0, t
        periods, within_s = divmod(t, self.period_s)
        return int(periods), within_s

    def _step(self, within_s: float) -> int:
        return max(0, bisect_right(self.time_s, within_s) - 1)

    def _steps_from(self, begin_s: float) -> Iterator[tuple[float, float]]:
        """(end in seconds, bits per second) of every step from the one that holds at ``begin_s``."""
        periods, within_s = self._position(begin_s)
        first, rows = self._step(within_s), len(self.time_s)
        for period in itertools.count(periods):
            offset_s = period * self.period_s if period else 0.0
            for step in range(first, rows):
                until_s = self.period_s if step == rows - 1 else self.time_s[step + 1]
                yield offset_s + until_s, self.bandwidth_bps[step]
            first = 0


def constant(bandwidth_bps: float) -> Trace:
    """A bandwidth that never changes.

    Examples
    --------
    >>> constant(8e6).finish_s(0.0, 1_000_000)
    1.0
    """
    return Trace((0.0,), (float(bandwidth_bps),), "constant")


def load_trace(path: str | Path, loop: bool = False) -> Trace:
    """Read a trace from a ``.csv`` or ``.csv.gz`` file with the columns ``time_s`` and ``bandwidth_bps``.

    Times are moved so that the first is 0.

    Raises
    ------
    ConfigError : the file is missing, lacks a column, or breaks a rule of `Trace`; the line is named
    """
    file = Path(path)
    try:
        with gzip.open(file, "rt", newline="") if file.suffix == ".gz" else file.open(newline="") as lines:
            reader = csv.DictReader(lines)
            missing = {"time_s", "bandwidth_bps"} - set(reader.fieldnames or ())
            if missing:
                raise ConfigError(f"{file}: has no column {min(missing)!r}; a trace has time_s,bandwidth_bps")
            rows = [
                (_number(row, "time_s", file, n), _number(row, "bandwidth_bps", file, n))
                for n, row in _numbered(reader)
            ]
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise ConfigError(
            f"{file}: cannot read the trace ({why}); give a CSV file of time_s and bandwidth_bps"
        ) from error
    start_s = rows[0][0] if rows else 0.0
    return Trace(tuple(t - start_s for t, _ in rows), tuple(bps for _, bps in rows), file.name, loop)


def _numbered(reader: csv.DictReader[str]) -> Iterator[tuple[int, dict[str, str | None]]]:
    for row in reader:
        yield reader.line_num, {**row}


def _number(row: dict[str, str | None], column: str, file: Path, line: int) -> float:
    text = row[column]
    try:
        return float(text or "")
    except ValueError:
        raise ConfigError(f"{file}: line {line}: {column} must be a number, not {text!r}") from None
