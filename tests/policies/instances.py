"""Made-up streams at one early exit whose best policy is known."""

from __future__ import annotations

import numpy as np

from offramp.policies.stream import Stream

__all__ = ["calibrated", "price_of_exits", "worst"]


def calibrated(rng: np.random.Generator, rows: int, remote: float = 1.0) -> Stream:
    """Two classes; the early exit is right with its confidence, the last one independently with ``remote``."""
    confidence = rng.uniform(0.5, 1.0, rows)
    truth = rng.integers(0, 2, rows)
    early = np.where(rng.random(rows) < confidence, truth, 1 - truth)
    late = np.where(rng.random(rows) < remote, truth, 1 - truth)
    both = np.stack([confidence, np.full(rows, max(remote, 0.5))]).astype(np.float32)
    return Stream(both, np.stack([early, late]), truth, (1 - both).astype(np.float32))


def worst(rng: np.random.Generator, rows: int) -> Stream:
    """Whether the early exit is right has nothing to do with its confidence, and turns every few hundred samples."""
    stream = calibrated(rng, rows)
    turns = np.cumsum(rng.random(rows) < 1 / 300) % 2 == 0
    early = np.where(turns ^ (rng.random(rows) < 0.1), stream.truth, 1 - stream.truth)
    return Stream(stream.confidence, np.stack([early, stream.truth]), stream.truth, stream.runner_up)


def price_of_exits(stream: Stream, exits: np.ndarray, price: float) -> np.ndarray:
    """(n,) cost of leaving by these exits, in units of one mistake."""
    rows = np.arange(len(stream))
    return np.asarray(np.where(exits > 0, price, 0.0) + ~stream.right[exits, rows])
