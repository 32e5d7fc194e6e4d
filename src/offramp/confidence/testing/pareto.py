"""Pareto Testing: Learn-then-Test for a vector of thresholds, as published."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from offramp.confidence.certify import Certified, accept_in_order, order_settings
from offramp.confidence.risks import Evidence, Risk
from offramp.errors import NotEnoughSamples

__all__ = ["pareto_testing"]


def pareto_testing(
    evidence: Evidence,
    risks: Sequence[Risk],
    delta: float,
    generator: np.random.Generator,
    share: float = 0.5,
    max_settings: int = 100_000,
) -> Certified:
    """Split the rows at random: one part orders the settings, the other tests them.

    Parameters
    ----------
    evidence : rows that chose nothing before
    risks : all of them must hold
    delta : probability that any accepted setting breaks a limit
    generator : for the split
    share : of the rows that order
    max_settings : of the grid the front is taken from

    Raises
    ------
    NotEnoughSamples : fewer than two rows

    Source: Laufer-Goldshtein et al. 2023. Where tune rows are at hand anyway,
    `offramp.confidence.certify.certify_gates` orders by them and tests on all the rest.

    Examples
    --------
    >>> from offramp.confidence.risks import AccuracyLoss
    >>> draw = np.random.default_rng(0)
    >>> score = draw.random((1, 4000)).astype(np.float32)
    >>> evidence = Evidence(score, np.stack([draw.random(4000) < score[0], draw.random(4000) < 0.9]))
    >>> bool(pareto_testing(evidence, [AccuracyLoss(0.05)], 0.1, draw).accepted.sum() > 1)
    True
    """
    rows = evidence.rows
    if rows < 2:
        raise NotEnoughSamples(f"Pareto Testing splits its rows in two, so it needs at least 2, not {rows}")
    shuffled = generator.permutation(rows)
    cut = min(rows - 1, max(1, round(share * rows)))
    ordering, testing = (_take(evidence, part) for part in (shuffled[:cut], shuffled[cut:]))
    order = order_settings(ordering, risks, delta, testing.rows, max_settings=max_settings)
    return accept_in_order(order, testing, risks, delta)


def _take(evidence: Evidence, rows: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Evidence:
    group = evidence.group[rows] if len(evidence.group) else evidence.group
    reference = None if evidence.reference is None else evidence.reference[rows]
    return Evidence(evidence.score[:, rows], evidence.correct[:, rows], group, reference)
