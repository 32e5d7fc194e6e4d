"""Seconds of a job, as a median."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

import numpy as np

__all__ = ["timed", "timed_in_turn"]

S = TypeVar("S")
T = TypeVar("T")


def timed(job: Callable[[], T], repeats: int) -> tuple[float, T]:
    """Median wall seconds of so many calls, and what the last one returned."""
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        result = job()
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds)), result


def timed_in_turn(first: Callable[[], S], second: Callable[[], T], repeats: int) -> tuple[float, float, S, T]:
    """Medians of two jobs called in turn, so that a busy machine slows both; what each returned last."""
    seconds = np.empty((repeats, 2))
    for turn in range(repeats):
        begin = time.perf_counter()
        one = first()
        between = time.perf_counter()
        other = second()
        seconds[turn] = between - begin, time.perf_counter() - between
    return float(np.median(seconds[:, 0])), float(np.median(seconds[:, 1])), one, other
