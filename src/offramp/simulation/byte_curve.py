"""The bytes a link has carried by a time, and the time by which it has carried so many."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from offramp.links.trace import Trace

__all__ = ["ByteCurve"]

Floats = NDArray[np.float64]

#: bytes, relative to those carried, below which two points of the curve are one
_SLACK = 1e-14


class ByteCurve:
    """The integral of a trace and its inverse, for many times at once.

    Examples
    --------
    >>> curve = ByteCurve(Trace((0.0, 1.0, 3.0), (8e3, 0.0, 16e3), "tunnel"))
    >>> curve.carried(np.array([0.5, 2.0, 4.0]))
    array([ 500., 1000., 3000.])
    >>> curve.time_of(np.array([500.0, 1000.0, 1500.0]))
    array([0.5 , 1.  , 3.25])
    """

    def __init__(self, trace: Trace) -> None:
        self._time_s = np.array(trace.time_s)
        self._rate = np.array(trace.bandwidth_bps) / 8
        self._sum = np.concatenate(([0.0], np.cumsum(np.diff(self._time_s) * self._rate[:-1])))
        self._period_s = trace.period_s
        last = trace.period_s - trace.time_s[-1]
        self._period_bytes = float(self._sum[-1] + self._rate[-1] * last) if trace.loop else math.inf

    def carried(self, time_s: Floats) -> Floats:
        """(n,) bytes a busy link has carried from 0 to each time (n,)."""
        base, within = np.zeros(()), time_s
        if math.isfinite(self._period_s):
            periods, within = np.divmod(time_s, self._period_s)
            base = periods * self._period_bytes
        step = np.searchsorted(self._time_s, within, side="right") - 1
        return np.asarray(base + self._sum[step] + self._rate[step] * (within - self._time_s[step]))

    def time_of(self, carried: Floats) -> Floats:
        """(n,) when the last of so many bytes (n,) is through; infinite when it never is."""
        base, within = np.zeros(()), carried
        if math.isfinite(self._period_s):
            if self._period_bytes == 0:
                return np.full(carried.shape, math.inf)
            periods = np.maximum(np.ceil(carried * (1 - _SLACK) / self._period_bytes) - 1, 0)
            base, within = periods * self._period_s, carried - periods * self._period_bytes
        step = np.maximum(np.searchsorted(self._sum, within - _SLACK * carried) - 1, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            after = (within - self._sum[step]) / self._rate[step]
        return np.where(carried > 0, base + self._time_s[step] + after, 0.0)
