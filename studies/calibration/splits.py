"""Many random re-splits of one pool: fit on tune, certify on calibrate, judge on batches of test rows."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.exit_temperatures import leaving
from offramp.confidence.metrics import expected_calibration_error
from offramp.confidence.service import BATCH, inference_outage
from studies.calibration.gate import candidates, certified_threshold
from studies.calibration.outcome import CERTIFIED, DELTA, LEARNT, LEVEL, PLAIN, TARGETS, Outcome
from studies.calibration.problems import Problem
from studies.calibration.ranking import exit_features, learn_ranking
from studies.calibration.temperatures import VARIANTS, TemperatureGrid

__all__ = ["ECE_TARGET", "Split", "run_splits", "split_rows"]

#: the target at which calibration errors are told
ECE_TARGET = 0.8
_TUNE, _CALIBRATE = 0.2, 0.3

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Split:
    """Disjoint rows of one repeat; ``test`` are whole batches."""

    tune: Indices
    calibrate: Indices
    test: Indices


def split_rows(rows: int, rng: np.random.Generator) -> Split:
    """A fifth to tune, three tenths to calibrate, whole batches of the rest to test."""
    order = rng.permutation(rows)
    tune, calibrate = int(_TUNE * rows), int(_CALIBRATE * rows)
    rest = order[tune + calibrate :]
    return Split(order[:tune], order[tune : tune + calibrate], rest[: len(rest) // BATCH * BATCH])


def run_splits(problem: Problem, grid: TemperatureGrid, repeats: int, seed: int = 0) -> Outcome:
    """Judge every temperature variant and the certified gate on ``repeats`` re-splits."""
    rng = np.random.default_rng(seed)
    runs = _Runs(problem, grid)
    for _ in range(repeats):
        runs.add(split_rows(len(problem.labels), rng))
    return runs.outcome()


class _Runs:
    """Collects one repeat after the other."""

    def __init__(self, problem: Problem, grid: TemperatureGrid) -> None:
        self.problem, self.grid = problem, grid
        self.correct = problem.correct
        self.features, self.answers = exit_features(problem.logits[: problem.device])
        self.service: defaultdict[tuple[float, str], list[tuple[float, float, float]]] = defaultdict(list)
        self.ece: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
        self.curve_share: defaultdict[str, list[Floats]] = defaultdict(list)
        self.curve_outage: defaultdict[tuple[str, float], list[Floats]] = defaultdict(list)
        self.batches = 0

    def add(self, split: Split) -> None:
        """One repeat."""
        self.batches = len(split.test) // BATCH
        for target in TARGETS:
            for variant in VARIANTS:
                self._variant(split, target, variant)
        self._ours(split)

    def _variant(self, split: Split, target: float, variant: str) -> None:
        places = self.grid.fit(variant, split.tune, target)
        confidence = self.grid.confidence_at(places, split.test)
        exits = leaving(confidence, target)
        self._judge(target, variant, exits < self.problem.device, self.correct[exits, split.test])
        if target == ECE_TARGET:
            for e in range(self.problem.device):
                self.ece[variant, e].append(expected_calibration_error(confidence[e], self.correct[e, split.test]))

    def _ours(self, split: Split) -> None:
        right = self.correct[self.problem.device - 1]
        score = learn_ranking(self.features, self.answers, right, split.tune)
        tune, calibrate = ((score[rows], right[rows]) for rows in (split.tune, split.calibrate))
        for target in TARGETS:
            threshold = certified_threshold(tune, calibrate, target, LEVEL, DELTA)
            self._judge(target, CERTIFIED, score[split.test] >= threshold, right[split.test])
        for ranking, values in ((LEARNT, score), (PLAIN, self.features[:, 0])):
            self._curve(ranking, values[split.test], right[split.test], candidates(values[split.tune]))

    def _curve(self, ranking: str, score: Floats, right: Bools, thresholds: Floats) -> None:
        decided = (score >= thresholds[:, None]).reshape(-1, self.batches, BATCH)
        hits = (decided & right.reshape(self.batches, BATCH)).sum(-1)
        kept = decided.sum(-1)
        self.curve_share[ranking].append(kept.mean(1) / BATCH)
        for target in TARGETS:
            self.curve_outage[ranking, target].append((hits < target * kept - 1e-9).mean(1))

    def _judge(self, target: float, method: str, decided: Bools, right: Bools) -> None:
        accuracy = right[decided].mean() if decided.any() else 1.0
        outage = inference_outage(decided.reshape(-1, BATCH), right.reshape(-1, BATCH), target)
        self.service[target, method].append((decided.mean(), accuracy, outage))

    def outcome(self) -> Outcome:
        """Everything collected, as arrays."""
        service = {key: np.array(values).T for key, values in self.service.items()}
        share, accuracy, outage = ({key: v[i] for key, v in service.items()} for i in range(3))
        ece = {key: np.array(values) for key, values in self.ece.items()}
        curve_share = {ranking: np.mean(values, axis=0) for ranking, values in self.curve_share.items()}
        curve_outage = {key: np.mean(values, axis=0) for key, values in self.curve_outage.items()}
        return Outcome(share, accuracy, outage, ece, curve_share, curve_outage, self.batches)
