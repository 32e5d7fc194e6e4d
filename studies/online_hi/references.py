"""What the policies are held against: never, always, the plan, fitted and hindsight thresholds, the oracle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.certify import certify_gates
from offramp.confidence.risks import AccuracyLoss, Evidence
from offramp.policies.hindsight import best_threshold
from offramp.policies.stream import Stream
from studies.online_hi.streams import Problem

__all__ = ["BINS", "CONFIDENCE", "LOSS", "REFERENCES", "by_bin", "plan_thresholds", "reference_costs"]

Floats = NDArray[np.float64]
#: of HI-LCB
BINS = 20
#: of the plan's certificate
LOSS, CONFIDENCE = 0.01, 0.95
REFERENCES = ("never", "always", "plan", "fitted", "hindsight", "bins", "oracle")


def plan_thresholds(problem: Problem, prices: tuple[float, ...]) -> tuple[float, ...]:
    """Of the thresholds certified to lose at most 1 % accuracy, the cheapest on the tune rows, one per price."""
    tune, calibrate = problem.tune, problem.calibrate
    found = certify_gates(
        Evidence(tune.confidence[:1], tune.right),
        Evidence(calibrate.confidence[:1], calibrate.right),
        [AccuracyLoss(LOSS)],
        1.0 - CONFIDENCE,
    )
    kept = found.thresholds[found.accepted, 0]
    return tuple(float(kept[_at(tune, kept[:, None], price, slice(None)).mean(-1).argmin()]) for price in prices)


def reference_costs(
    problem: Problem, prices: tuple[float, ...], plans: tuple[float, ...], order: NDArray[np.intp]
) -> tuple[dict[str, Floats], list[float]]:
    """(prices, shuffles, rows) cost of every reference, and per price the share of tune rows that ``fitted`` sends on.

    ``fitted`` is the threshold of least cost on the tune rows, ``hindsight`` on the very samples of each shuffle;
    ``bins`` goes on in those bins of confidence of HI-LCB where that is cheaper on these samples.
    """
    pool, tune = problem.pool, problem.tune
    costs: dict[str, list[Floats]] = {name: [] for name in REFERENCES}
    budgets = []
    for price, plan in zip(prices, plans, strict=True):
        fitted = _best(tune, price)
        budgets.append(float((tune.confidence[0] < fitted).mean()))
        hindsight = np.array([_best(pool.take(rows), price) for rows in order])[:, None]
        cuts = {"never": -np.inf, "always": np.inf, "plan": plan, "fitted": fitted, "hindsight": hindsight}
        for name, cut in cuts.items():
            costs[name].append(_at(pool, np.asarray(cut), price, order))
        stop, on = (_at(pool, np.asarray(cut), price, order) for cut in (-np.inf, np.inf))
        costs["bins"].append(
            np.stack([by_bin(*each) for each in zip(pool.confidence[0][order], stop, on, strict=True)])
        )
        costs["oracle"].append(np.minimum(~pool.right[0], price + ~pool.right[1])[order])
    return {name: np.stack(each) for name, each in costs.items()}, budgets


def by_bin(confidence: NDArray[np.float32], stop: Floats, on: Floats) -> Floats:
    where = np.minimum((confidence * BINS).astype(int), BINS - 1)
    cheaper = np.bincount(where, on - stop, minlength=BINS) < 0
    return np.where(cheaper[where], on, stop)


def _best(stream: Stream, price: float) -> float:
    wrong = ~stream.right
    return best_threshold(stream.confidence[0], wrong[0], price + wrong[1])


def _at(stream: Stream, cut: NDArray[np.float64], price: float, rows: NDArray[np.intp] | slice) -> Floats:
    """Cost of samples that stop when their confidence reaches the cut, in mistakes."""
    on = stream.confidence[0][rows] < cut.astype(np.float32)
    right = stream.right
    return np.asarray(np.where(on, price + ~right[1][rows], ~right[0][rows]), np.float64)
