"""The many classes an exit does not believe in, as a few groups of equal logits.

What a softmax at temperature T needs of them is one number, the sum of ``exp(z / T)``. A few groups of
equal logits give that sum at every T of interest, if their values are fitted to it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["GROUPS", "INVERSE_TEMPERATURES", "fit_tail"]

GROUPS = 8
#: 1/T where the sums are fitted: T from 0.49 to 3.05
INVERSE_TEMPERATURES = np.geomspace(1 / 3.05, 2.05, 8)

_DEEPEST = 24.0  # nats: what lies further down shares the last group
_STEPS = 5

Floats = NDArray[np.float64]


def fit_tail(depth: Floats, keep: NDArray[np.bool_], log_total: Floats) -> tuple[NDArray[np.int64], Floats]:
    """Groups of equal logits whose softmax weight is that of the tail at every temperature.

    Classes are grouped by how deep they lie (finer near the top); then a few damped Gauss-Newton
    steps move the depth of every group until the weights agree.

    Parameters
    ----------
    depth : (n, m), how far each logit lies below some reference, at least 0
    keep : (n, m), False for classes that are no part of the tail
    log_total : (n, J), log of the sum over *all* classes of ``exp(s * (z - reference))`` for every
        ``s`` of `INVERSE_TEMPERATURES`; errors are measured as a share of it

    Returns
    -------
    counts : (n, GROUPS) int64, classes in each group
    depths : (n, GROUPS), the depth of each group, at least 0

    Examples
    --------
    >>> depth = np.array([[1.0, 1.0, 2.0]])
    >>> total = np.log(1 + np.exp(-np.outer(INVERSE_TEMPERATURES, depth)).sum(1))[None]
    >>> counts, depths = fit_tail(depth, np.ones((1, 3), bool), total)
    >>> np.repeat(depths[0], counts[0]).round(6)
    array([1., 1., 2.])
    """
    counts, depths = _group(depth, keep)
    target = np.stack(
        [(np.exp(-s * depth - log_total[:, j, None]) * keep).sum(1) for j, s in enumerate(INVERSE_TEMPERATURES)],
        axis=1,
    )
    return counts, _refine(counts, depths, target, log_total)


def _group(depth: Floats, keep: NDArray[np.bool_]) -> tuple[NDArray[np.int64], Floats]:
    """Classes by depth, and the depth of each group that is exact at T = 1."""
    n = len(depth)
    lowest = np.where(keep, depth, 0.0).max(1, keepdims=True, initial=0.0)
    reach = np.clip(lowest, 1e-9, _DEEPEST)
    group = np.minimum((np.sqrt(np.minimum(depth / reach, 1.0)) * GROUPS).astype(np.int64), GROUPS - 1)
    flat = (group + GROUPS * np.arange(n)[:, None])[keep]
    counts = np.bincount(flat, minlength=n * GROUPS).reshape(n, GROUPS)
    nearest = np.full(n * GROUPS, np.inf)
    np.minimum.at(nearest, flat, depth[keep])
    below = np.exp(nearest[flat] - depth[keep])
    sums = np.bincount(flat, below, minlength=n * GROUPS)
    filled = counts.ravel() > 0
    depths = np.zeros(n * GROUPS)
    depths[filled] = nearest[filled] - np.log(sums[filled] / counts.ravel()[filled])
    return counts, depths.reshape(n, GROUPS)


def _refine(counts: NDArray[np.int64], depths: Floats, target: Floats, log_total: Floats) -> Floats:
    """Levenberg-Marquardt on the depths, all rows at once; a step that makes a row worse is not taken."""
    damping = np.full(len(depths), 1e-5)
    residual, slope = _residual(counts, depths, target, log_total)
    for _ in range(_STEPS):
        transposed = slope.transpose(0, 2, 1)
        normal = transposed @ slope
        diagonal = np.einsum("ngg->ng", normal)
        diagonal += damping[:, None] * diagonal + 1e-14
        step = np.linalg.solve(normal, transposed @ residual[..., None])[..., 0]
        moved = np.maximum(depths - np.clip(step, -2.0, 2.0), 0.0)
        new_residual, new_slope = _residual(counts, moved, target, log_total)
        better = (new_residual**2).sum(1) < (residual**2).sum(1)
        depths = np.where(better[:, None], moved, depths)
        residual = np.where(better[:, None], new_residual, residual)
        slope = np.where(better[:, None, None], new_slope, slope)
        damping = np.clip(np.where(better, damping / 5, damping * 10), 1e-12, 1e3)
    return depths


def _residual(counts: NDArray[np.int64], depths: Floats, target: Floats, log_total: Floats) -> tuple[Floats, Floats]:
    """(n, J) error of the tail's share at each temperature, and (n, J, GROUPS) its slope."""
    s = INVERSE_TEMPERATURES[:, None]
    share = counts[:, None] * np.exp(-s * depths[:, None] - log_total[..., None])
    return share.sum(-1) - target, -share * s
