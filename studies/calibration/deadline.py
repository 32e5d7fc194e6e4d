"""Missed deadlines: batches too late on the mean, or too often wrong."""

from __future__ import annotations

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
    problem: Problem, grid: TemperatureGrid, seconds: Floats, target: float, repeats: int, seed: int = 1
) -> dict[str, Floats]:
    """(R, 6) share of test batches that miss each deadline, by method."""
    rng = np.random.default_rng(seed)
    correct, limits = problem.correct, deadlines_of(seconds)
    features, answers = exit_features(problem.logits[: problem.device])
    found: dict[str, list[Floats]] = {method: [] for method in (*VARIANTS, AIMED)}
    for _ in range(repeats):
        split = split_rows(len(problem.labels), rng)
        for variant in VARIANTS:
            exits = leaving(grid.confidence_at(grid.fit(variant, split.tune, target), split.test), target)
            found[variant].append(_missed(seconds, correct, split, exits, limits, target))
        places = grid.fit("per exit", split.tune, target)
        score = grid.confidence_at(places, np.arange(len(problem.labels)))[:-1].astype(np.float64)
        score[-1] = learn_ranking(features, answers, correct[problem.device - 1], split.tune)
        fit_on = np.concatenate([split.tune, split.calibrate])
        settings, missed = _expected(score[:, fit_on], correct[:, fit_on], seconds, limits, target)
        ours = [
            _missed(seconds, correct, split, _exits(score[:, split.test], *settings[best]), limits[[d]], target)
            for d, best in enumerate(missed.argmin(0).tolist())
        ]
        found[AIMED].append(np.concatenate(ours))
    return {method: np.stack(values) for method, values in found.items()}


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


def _expected(
    score: Floats, correct: Bools, seconds: Floats, limits: Floats, target: float
) -> tuple[list[tuple[float, float]], Floats]:
    """Pairs of thresholds, and (pairs, 6) what share of batches would miss each deadline, by moments.

    The right answers of a batch are taken as binomial and its mean latency as normal, the two as independent.
    """
    early = [np.inf] if len(score) == 1 else [*np.quantile(score[:-1].max(0), np.linspace(0, 0.98, 12)), np.inf]
    last = [-np.inf, *np.quantile(score[-1], np.linspace(0.04, 0.98, 24)), np.inf]
    settings = [(float(a), float(b)) for a in early for b in last]
    rows = np.arange(correct.shape[1])
    moments = np.empty((len(settings), 3))
    for index, setting in enumerate(settings):
        exits = _exits(score, *setting)
        latency_s = seconds[exits]
        moments[index] = correct[exits, rows].mean(), latency_s.mean(), latency_s.std() / np.sqrt(BATCH)
    accuracy, mean_s, error_s = moments.T[:, :, None]
    wrong = bdtr(np.ceil(target * BATCH - 1e-9) - 1, BATCH, accuracy)
    on_time = ndtr((limits - mean_s + 1e-12) / np.maximum(error_s, 1e-9))
    return settings, 1.0 - (1.0 - wrong) * on_time
