"""Queues served one at a time, first come first served, as array operations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.simulation.byte_curve import ByteCurve

__all__ = ["fifo", "fifo_link"]

Floats = NDArray[np.float64]


def fifo(arrival_s: Floats, seconds: Floats) -> Floats:
    """(n,) when each job leaves a server: ``end[i] = max(arrival[i], end[i - 1]) + seconds[i]``.

    Parameters
    ----------
    arrival_s : (n,) not falling
    seconds : (n,) of work, or one for all

    Source: Lindley 1952, unrolled: the end is the work so far plus the running maximum of the arrivals less the work
    before them.

    Examples
    --------
    >>> fifo(np.array([0.0, 1.0, 5.0]), np.array([2.0, 0.5, 1.0]))
    array([2. , 2.5, 6. ])
    """
    work = np.cumsum(np.broadcast_to(seconds, arrival_s.shape))
    before = np.concatenate(([0.0], work[:-1])) if len(work) else work
    # rounding must not let one overtake another
    return np.asarray(np.maximum.accumulate(np.maximum.accumulate(arrival_s - before) + work))


def fifo_link(arrival_s: Floats, message_bytes: Floats, curve: ByteCurve) -> Floats:
    """(n,) when each message is through a link whose bandwidth moves; infinite from the first that never is.

    The same recursion as `fifo` in bytes: a busy link carries what the curve says, whatever the messages.

    Parameters
    ----------
    arrival_s : (n,) not falling
    message_bytes : (n,)

    Examples
    --------
    >>> from offramp.links.trace import Trace
    >>> curve = ByteCurve(Trace((0.0, 1.0, 3.0), (8e3, 0.0, 16e3), "tunnel"))
    >>> fifo_link(np.array([0.0, 0.1]), np.array([500.0, 1000.0]), curve)
    array([0.5 , 3.25])
    """
    end = np.maximum(curve.time_of(fifo(curve.carried(arrival_s), message_bytes)), arrival_s)
    return np.asarray(np.maximum.accumulate(end))
