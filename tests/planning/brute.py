"""The search as a loop: every codec, placement and setting, one at a time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offramp.confidence.one_threshold import with_one_threshold
from offramp.confidence.settings import GateSettings, evaluate
from offramp.planning.costs import cost_table
from offramp.planning.objective import Objective
from offramp.records.confidences import confidences
from tests.support.instances import Instance


@dataclass(frozen=True)
class BrutePoint:
    """One combination that meets the deadline, on the tune rows."""

    latency_s: float
    accuracy: float
    loss: float
    codec: str
    placement: tuple[str, ...]


def brute_force(case: Instance, objective: Objective, codecs: tuple[str, ...], most: int) -> list[BrutePoint]:
    """All combinations that meet the deadline; the accuracy is left to the caller."""
    tune = case.records.on("tune")
    confidence = confidences(tune, case.temperatures)
    settings = with_one_threshold(GateSettings.build(confidence, tune.correct, most), confidence, tune.correct)
    share, accuracy = evaluate(confidence, tune.correct, settings.thresholds)
    last = float(tune.correct[-1].mean())
    found = []
    for codec in codecs:
        table = cost_table(case.profiles, case.network, codec, case.records.exits)
        for row in range(len(table.placements)):
            cost = table.cost_s[row]
            for g in range(len(settings)):
                if objective.deadline_s is not None:
                    late = sum(share[g, e] for e in range(len(cost)) if cost[e] > objective.deadline_s + 1e-12)
                    if late > 1 - objective.deadline_quantile + 1e-9:
                        continue
                mean = sum(share[g, e] * cost[e] for e in range(len(cost)))
                loss = last - accuracy[g]
                found.append(BrutePoint(mean, float(accuracy[g]), loss, codec, table.placement_names(row)))
    return found


def best_of(points: list[BrutePoint], loss: float) -> float:
    """Least mean latency within the loss; infinite without one."""
    return min((p.latency_s for p in points if p.loss <= loss + 1e-9), default=float(np.inf))
