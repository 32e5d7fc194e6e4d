"""Missed deadlines: batches too late on the mean, or too often wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr, ndtr

from offramp.confidence.exit_temperatures import leaving
from offramp.confidence.service import BATCH, missed_deadline
from studies.calibration.problems import Cost, Problem
from studies.calibration.ranking import exit_features, learn_ranking
from studies.calibration.splits import Split, split_rows
from studies.calibration.temperatures import VARIANTS, TemperatureGrid

__all__ = ["AIMED", "CLOUDS", "Cloud", "deadline_target", "deadlines_of", "missed_by", "seconds_of"]

#: our gates, chosen for the deadline itself
AIMED = "aimed at the deadline"

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Cloud:
    """A cloud and the way there."""

    name: str
    rtt_s: float
    bandwidth_bps: float


#: Ohio and Sao Paulo as the authors measured them
CLOUDS = (Cloud("near cloud", 0.010, 93.6e6), Cloud("far cloud", 0.180, 73.3e6))


def seconds_of(cost: Cost, cloud: Cloud) -> Floats:
    """(k + 1,) seconds of a row that leaves at each exit of the device, and in the cloud."""
    upload = 8 * cost.payload_bytes / cloud.bandwidth_bps
    return np.append(cost.device_s, cost.device_s[-1] + cloud.rtt_s + upload + cost.cloud_s)


def deadline_target(problem: Problem) -> float:
    """The highest multiple of 0.05 that always asking the cloud meets with 2 points to spare."""
    return float(np.floor((problem.correct[-1].mean() - 0.02) * 20 + 1e-9) / 20)


def deadlines_of(seconds: Floats) -> Floats:
    """(6,) deadlines from the first exit's time to that of always asking the cloud, evenly."""
    return np.linspace(float(seconds[0]), float(seconds[-1]), 6)


def missed_by(
    problem: Problem, grid: TemperatureGrid, seconds: Sequence[Floats], target: float, repeats: int, seed: int = 1
) -> list[dict[str, Floats]]:
    """For the seconds of every cloud: (R, 6) share of test batches that miss each deadline, by method."""
    rng = np.random.default_rng(seed)
    correct = problem.correct
    features, answers = exit_features(problem.logits[: problem.device])
    found: list[dict[str, list[Floats]]] = [{method: [] for method in (*VARIANTS, AIMED)} for _ in seconds]
    for _ in range(repeats):
        split = split_rows(len(problem.labels), rng)
        places = {variant: grid.fit(variant, split.tune, target) for variant in VARIANTS}
        score = grid.confidence_at(places["per exit"], np.arange(len(problem.labels)))[:-1].astype(np.float64)
        score[-1] = learn_ranking(features, answers, correct[problem.device - 1], split.tune)
        fit_on = np.concatenate([split.tune, split.calibrate])
        pairs = _Pairs.of(score[:, fit_on], correct[:, fit_on])
        for of_cloud, cost_s in zip(found, seconds, strict=True):
            limits = deadlines_of(cost_s)
            for variant in VARIANTS:
                exits = leaving(grid.confidence_at(places[variant], split.test), target)
                of_cloud[variant].append(_missed(cost_s, correct, split, exits, limits, target))
            best = pairs.expected_misses(cost_s, limits, target).argmin(0)
            taken = [_exits(score[:, split.test], *pairs.thresholds[place]) for place in best]
            ours = [_missed(cost_s, correct, split, exits, limits[[d]], target) for d, exits in enumerate(taken)]
            of_cloud[AIMED].append(np.concatenate(ours))
    return [{method: np.stack(values) for method, values in of_cloud.items()} for of_cloud in found]


def _missed(
    seconds: Floats, correct: Bools, split: Split, exits: NDArray[np.int64], limits: Floats, target: float
) -> Floats:
    latency_s, right = seconds[exits], correct[exits, split.test]
    return missed_deadline(latency_s.reshape(-1, BATCH), right.reshape(-1, BATCH), limits, target)


def _exits(score: Floats, early: float, last: float) -> NDArray[np.int64]:
    """(n,) exit taken with one threshold for the exits before the last on the device and one for that."""
    thresholds = np.full((len(score), 1), early)
    thresholds[-1] = last
    reached = np.vstack([score >= thresholds, np.ones((1, score.shape[1]), bool)])
    return np.asarray(reached.argmax(0), np.int64)


@dataclass(frozen=True)
class _Pairs:
    """Pairs of thresholds (m, 2), the rows leaving by each exit (m, k + 1) and the accuracy (m,)."""

    thresholds: Floats
    leaving: Floats
    accuracy: Floats

    @classmethod
    def of(cls, score: Floats, correct: Bools) -> _Pairs:
        """Count over scores (k, n) for every pair of a grid."""
        early = [np.inf] if len(score) == 1 else [*np.quantile(score[:-1].max(0), np.linspace(0, 0.98, 12)), np.inf]
        last = np.array([np.inf, *np.quantile(score[-1], np.linspace(0.98, 0.04, 24)), -np.inf])
        rows = score.shape[1]
        parts = []
        for threshold in early:
            exits = _exits(score, threshold, -np.inf)  # the last exit on the device keeps whoever is left
            gone = exits < len(score) - 1
            counts = np.bincount(exits[gone], minlength=len(score) + 1).astype(np.float64)
            order = np.flatnonzero(~gone)[np.argsort(-score[-1, ~gone], kind="stable")]
            kept = np.searchsorted(-score[-1, order], -last, side="right")
            here, there = (np.concatenate([[0], np.cumsum(correct[e, order])]) for e in (-2, -1))
            leaving_by = np.tile(counts, (len(last), 1))
            leaving_by[:, -2], leaving_by[:, -1] = kept, len(order) - kept
            right = correct[exits[gone], np.flatnonzero(gone)].sum() + here[kept] + there[-1] - there[kept]
            parts.append((np.stack([np.full(len(last), threshold), last], 1), leaving_by, right / rows))
        thresholds, counts_of, accuracy = (np.concatenate(part) for part in zip(*parts, strict=True))
        return cls(thresholds, counts_of, accuracy)

    def expected_misses(self, seconds: Floats, limits: Floats, target: float) -> Floats:
        """(m, 6) share of batches that would miss each deadline, by moments.

        The right answers of a batch are taken as binomial and its mean latency as normal, the two as independent.
        """
        share = self.leaving / self.leaving.sum(1, keepdims=True)
        mean_s = share @ seconds
        error_s = np.sqrt(np.maximum(share @ seconds**2 - mean_s**2, 0.0) / BATCH)
        wrong = bdtr(np.ceil(target * BATCH - 1e-9) - 1, BATCH, self.accuracy)
        on_time = ndtr((limits - mean_s[:, None] + 1e-12) / np.maximum(error_s, 1e-9)[:, None])
        return np.asarray(1.0 - (1.0 - wrong[:, None]) * on_time)
