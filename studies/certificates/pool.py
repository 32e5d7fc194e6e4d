"""The rows that draws are taken from: the whole world of the study, whose losses are known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.counting import ListCounter
from studies.certificates.methods import Draws
from studies.certificates.problems import Problem

__all__ = ["Pool", "draw_weights"]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Pool:
    """What m settings do to each of the N rows, and so to all of them: the truth.

    ``bad``, ``good`` (m, N); ``cost`` (m,) share of the FLOPs of the whole network; ``broken`` (m,) the limit.
    """

    bad: NDArray[np.bool_]
    good: NDArray[np.bool_]
    cost: Floats
    broken: NDArray[np.bool_]

    @classmethod
    def of(cls, thresholds: Floats, problem: Problem, limit: float) -> Pool:
        """Send all rows through all settings (m, E - 1)."""
        correct, last = problem.pool.correct, problem.pool.correct[-1]
        taken = ListCounter.of(thresholds, problem.pool.score).taken
        right = np.take_along_axis(correct.T, taken.T.astype(np.intp), axis=1).T
        bad, good = ~right & last, right & ~last
        share = np.stack([(taken == index).mean(1) for index in range(len(correct))], axis=1)
        return cls(bad, good, share @ problem.exit_cost, bad.mean(1) - good.mean(1) > limit)

    def draws(self, weights: NDArray[np.float32], rows: int) -> Draws:
        """Counts over draws: ``weights`` (N, s) says how often each row is in each."""
        bad, good = ((one.astype(np.float32) @ weights).astype(np.int64) for one in (self.bad, self.good))
        return Draws(bad, good, rows)


def draw_weights(pool: int, rows: int, splits: int, seed: int = 0) -> NDArray[np.float32]:
    """(pool, splits) how often each row of the pool is drawn, with replacement, into each split of so many rows."""
    drawn = np.random.default_rng(seed).integers(0, pool, (splits, rows))
    return np.stack([np.bincount(one, minlength=pool) for one in drawn], axis=1).astype(np.float32)
