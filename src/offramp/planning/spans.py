"""Sums over runs of segments: what a tier spends on the segments it has, up to an exit."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.planning.crossings import crossing_cuts

__all__ = ["sums_to_exits"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def sums_to_exits(values: Floats, placements: Ints, exit_segments: Sequence[int]) -> Floats:
    """(P, E, K) sum over the segments up to every exit that a placement runs on every tier.

    A tier runs one span of segments, so every sum is looked up in a table of spans; it is added up from its first
    segment on.

    Parameters
    ----------
    values : (K, S) of every tier and segment
    placements : (P, S) tier indices, not falling
    exit_segments : (E,)

    Examples
    --------
    >>> sums_to_exits(np.array([[1.0, 2.0], [10.0, 20.0]]), np.array([[0, 0], [0, 1]]), [0, 1]).tolist()
    [[[1.0, 0.0], [3.0, 0.0]], [[1.0, 0.0], [1.0, 20.0]]]
    """
    tiers, segments = values.shape
    inside = np.arange(segments) >= np.arange(segments + 1)[:, None]
    spans = np.zeros((tiers, segments + 1, segments + 1))  # of a tier from one segment to before another
    np.cumsum(np.where(inside, values[:, None], 0.0), axis=2, out=spans[:, :, 1:])
    cuts = crossing_cuts(placements, tiers)
    edge = np.ones((len(placements), 1), np.int64)
    begin, end = np.hstack([0 * edge, cuts]), np.hstack([cuts, segments * edge])
    upto = np.minimum(end[:, None], np.array(exit_segments)[:, None] + 1)
    return np.asarray(spans[np.arange(tiers), begin[:, None], upto])
