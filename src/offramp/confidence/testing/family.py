"""Control of the family-wise error: P(any true null is rejected) <= delta."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from offramp.confidence.bounds.checks import check_level
from offramp.errors import ConfigError

__all__ = ["bonferroni", "fixed_sequence", "graphical", "holm"]

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


def fixed_sequence(p_values: ArrayLike, delta: float) -> Bools:
    """Reject in the order given while p <= delta; stop at the first failure. The order must not depend on the rows.

    Source: Maurer et al. 1995; the fixed sequence of Angelopoulos et al. 2021 (Learn then Test).

    Examples
    --------
    >>> fixed_sequence([0.01, 0.04, 0.2, 0.01], 0.05)
    array([ True,  True, False, False])
    """
    return np.logical_and.accumulate(_checked(p_values) <= check_level(delta))


def bonferroni(p_values: ArrayLike, delta: float) -> Bools:
    """Reject where p <= delta / m.

    Examples
    --------
    >>> bonferroni([0.01, 0.04, 0.2], 0.05)
    array([ True, False, False])
    """
    p = _checked(p_values)
    return np.asarray(p <= check_level(delta) / max(1, len(p)))


def holm(p_values: ArrayLike, delta: float) -> Bools:
    """Bonferroni, step down: the k-th smallest p against delta / (m - k + 1), until one fails.

    Source: Holm 1979.

    Examples
    --------
    >>> holm([0.2, 0.01, 0.02], 0.05)
    array([False,  True,  True])
    """
    p = _checked(p_values)
    order = np.argsort(p, kind="stable")
    passed = np.logical_and.accumulate(p[order] <= check_level(delta) / np.arange(len(p), 0, -1))
    result = np.zeros(len(p), bool)
    result[order[passed]] = True
    return result


def graphical(p_values: ArrayLike, weights: ArrayLike, transitions: ArrayLike, delta: float) -> Bools:
    """Share delta out over the tests; what is rejected hands its share on along a graph.

    Parameters
    ----------
    p_values : (m,)
    weights : (m,) >= 0, their sum at most 1: the share of delta each test starts with
    transitions : (m, m) >= 0, rows summing to at most 1, zero diagonal: where the share of a rejected test goes

    Raises
    ------
    ConfigError : weights or transitions outside these rules

    Source: Bretz et al. 2009.

    Examples
    --------
    >>> chain = np.eye(3, k=1)  # a fixed sequence: all of delta starts at the first test
    >>> graphical([0.01, 0.2, 0.01], [1.0, 0.0, 0.0], chain, 0.05)
    array([ True, False, False])
    """
    p, share = _checked(p_values), np.array(weights, np.float64)
    flow = np.array(transitions, np.float64)
    _check_graph(share, flow, len(p))
    check_level(delta)
    rejected = np.zeros(len(p), bool)
    while True:
        open_tests = np.flatnonzero(~rejected & (share > 0) & (p <= share * delta))
        if not len(open_tests):
            return rejected
        now = int(open_tests[0])
        rejected[now] = True
        share = share + share[now] * flow[now]
        share[now] = 0.0
        flow = _without(flow, now)


def _without(flow: Floats, gone: int) -> Floats:
    """The graph when one test has left it: its inflow is passed on along its outflow."""
    loops = 1.0 - flow[:, gone] * flow[gone, :]  # a way there and back to where it began cannot be used
    passed = flow + flow[:, [gone]] * flow[gone]
    result = np.where(loops[:, None] > 0, passed / np.maximum(loops, 1e-300)[:, None], 0.0)
    np.fill_diagonal(result, 0.0)
    result[gone], result[:, gone] = 0.0, 0.0
    return np.asarray(result)


def _checked(p_values: ArrayLike) -> Floats:
    p = np.asarray(p_values, np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ConfigError("p-values must be one row of numbers in [0, 1]")
    return p


def _check_graph(weights: Floats, flow: Floats, tests: int) -> None:
    slack = 1e-9
    if weights.shape != (tests,) or (weights < 0).any() or weights.sum() > 1 + slack:
        raise ConfigError(f"weights must be {tests} numbers of at least 0 whose sum is at most 1")
    if flow.shape != (tests, tests) or (flow < 0).any() or (flow.sum(1) > 1 + slack).any() or np.diag(flow).any():
        raise ConfigError(
            f"transitions must be {tests} x {tests} numbers of at least 0 rows summing to at most 1, zero diagonal"
        )
