"""The alarm: many streams at once, one update at a time, and against keeping every start time apart.

Losses are those of a network that stays within its limit, so nothing is raised and every update is computed.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from benchmarks.row import BenchmarkRow
from offramp.confidence.alarm import Alarm, first_alarms

__all__ = ["run"]

LIMIT, DELTA, RATE = 0.1, 1e-6, 0.05
SHARES = np.array([1 / 2**power for power in range(1, 7)])  # those of the alarm


def run(quick: bool) -> list[BenchmarkRow]:
    """Microseconds per update.

    Parameters
    ----------
    quick : a tenth of the updates
    """
    few = 10 if quick else 1
    rng = np.random.default_rng(0)
    losses: NDArray[np.bool_] = rng.random((10_000, 1_000 // few)) < RATE
    one_us, many_us = _one_at_a_time(Alarm(LIMIT, DELTA), losses[:100]), _together(losses)
    late = Alarm(LIMIT, DELTA)
    _one_at_a_time(late, losses[:1_000])
    late_us = _one_at_a_time(late, losses[:100])
    apart_us = _starts_apart(losses[: 10 // min(few, 5)].ravel()[:2_000])
    how = "measured: median of 5 runs, one thread"
    return [
        BenchmarkRow(
            "many streams at once", one_us, many_us, many_us / one_us, "us per update", how,
            f"baseline: an Alarm and update() for each stream; ours: first_alarms on {len(losses):,} streams of "
            f"{losses.shape[1]:,} losses, {1 / many_us:.1f} million updates/s",
        ),
        BenchmarkRow(
            "one update, late in life", one_us, late_us, late_us / one_us, "us per update", how,
            f"baseline: a fresh alarm; ours: after {losses[:1_000].size:,} updates; a ratio of 1 is constant time",
        ),
        BenchmarkRow(
            "one update", apart_us, one_us, one_us / apart_us, "us per update", how,
            "baseline: the same capital with every start time kept apart in NumPy, mean over the first 2,000 updates",
        ),
    ]  # fmt: skip


def _one_at_a_time(alarm: Alarm, losses: NDArray[np.bool_]) -> float:
    stream = losses.ravel().astype(float).tolist()

    def job() -> None:
        for loss in stream:
            alarm.update(loss)

    return _median_s(job) / len(stream) * 1e6


def _together(losses: NDArray[np.bool_]) -> float:
    return _median_s(lambda: first_alarms(losses, LIMIT, DELTA)) / losses.size * 1e6


def _starts_apart(stream: NDArray[np.bool_]) -> float:
    entries = np.arange(len(stream))
    parts = (1 / np.log2(2 + entries) - 1 / np.log2(3 + entries)) / len(SHARES)

    def job() -> None:
        staked = np.repeat(parts[:, None], len(SHARES), 1)
        for index, loss in enumerate(stream.tolist()):
            staked[: index + 1] *= 1 + SHARES * (loss - LIMIT) / LIMIT
            capital = staked[: index + 1].sum() + 1 / math.log2(3 + index)
            if capital >= 1 / DELTA:
                raise RuntimeError("the clean stream raised the alarm")

    return _median_s(job) / len(stream) * 1e6


def _median_s(job: Callable[[], object], repeats: int = 5) -> float:
    seconds = []
    for _ in range(repeats):
        begin = time.perf_counter()
        job()
        seconds.append(time.perf_counter() - begin)
    return float(np.median(seconds))
