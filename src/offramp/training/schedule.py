"""The learning rate over a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

__all__ = ["SCHEDULES", "Schedule", "cosine", "one_cycle"]

Schedule = Literal["one-cycle", "cosine"]


def one_cycle(step: int, steps: int, peak: float, rising: float = 0.25) -> float:
    """Learning rate at ``step`` of ``steps``: a straight rise from ``peak / 10``, then a cosine to near zero.

    Source: Smith and Topin 2018, with a cosine for the descent.

    Examples
    --------
    >>> [round(one_cycle(step, 100, 1.0), 2) for step in (0, 25, 62, 99)]
    [0.1, 1.0, 0.51, 0.0]
    """
    top = max(1.0, rising * steps)
    if step < top:
        return peak * (0.1 + 0.9 * step / top)
    return peak * 0.5 * (1.0 + math.cos(math.pi * (step - top) / max(1.0, steps - top)))


def cosine(step: int, steps: int, peak: float) -> float:
    """Learning rate at ``step`` of ``steps``: from ``peak`` down to near zero, along half a cosine.

    Source: Loshchilov and Hutter 2017, without restarts.

    Examples
    --------
    >>> [round(cosine(step, 100, 1.0), 2) for step in (0, 50, 99)]
    [1.0, 0.5, 0.0]
    """
    return peak * 0.5 * (1.0 + math.cos(math.pi * step / steps))


#: every schedule, by the name used in a config
SCHEDULES: dict[Schedule, Callable[[int, int, float], float]] = {"cosine": cosine, "one-cycle": one_cycle}
