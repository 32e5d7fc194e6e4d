"""Ways to decide at an edge exit, each with one knob."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.certify import certify_gates
from offramp.confidence.counting import exits_taken
from offramp.confidence.gates.evidence import ExitEvidence
from offramp.confidence.gates.gain import GainGate
from offramp.confidence.risks import AccuracyLoss, Evidence
from offramp.errors import NotEnoughSamples
from studies.hybrid.cases import Case

__all__ = ["RULES", "at_share", "certified_exits", "score_of"]

Floats = NDArray[np.float64]
Scorer = Callable[[Case, str], Floats]


def _entropy(case: Case, split: str) -> Floats:
    p = case.probabilities(split, calibrated=False)[:-1]
    return np.asarray((p * np.log(np.maximum(p, 1e-30))).sum(-1))


def _confidence(case: Case, split: str) -> Floats:
    return np.asarray(case.probabilities(split)[:-1].max(-1))


def _gain(case: Case, split: str) -> Floats:
    tune, right = case.probabilities("tune"), case.records.on("tune").correct
    found = []
    for exit_index, p in enumerate(case.probabilities(split)[:-1]):
        here = tune[exit_index]
        gate = GainGate.fit(ExitEvidence(exit_index, here.max(1), here), right[exit_index], right[-1])
        found.append(-gate.gain(ExitEvidence(exit_index, p.max(1), p)))
    return np.stack(found)


#: the published gate (entropy of the softmax, one threshold for all exits) and ours; higher leaves earlier
RULES: dict[str, Scorer] = {"entropy": _entropy, "calibrated confidence": _confidence, "gain": _gain}


def score_of(rule: str, case: Case, split: str) -> Floats:
    """(E - 1, n) of the rows of a split."""
    return RULES[rule](case, split)


def at_share(tune: Floats, share: float) -> float:
    """The threshold for all exits at which this share of the tune rows leaves early.

    Examples
    --------
    >>> at_share(np.array([[0.1, 0.9, 0.4, 0.2], [0.3, 0.1, 0.8, 0.1]]), 0.5)
    0.8
    """
    best = np.sort(tune.max(0))[::-1]
    return float(best[max(0, int(np.ceil(share * len(best))) - 1)])


def certified_exits(case: Case, loss: float, delta: float, energy_j: Floats) -> NDArray[np.intp] | None:
    """(n,) exits of the test rows under the cheapest certified setting; ``None`` where there are too few rows.

    Certified on the calibrate rows: against the hybrid's own last exit at most ``loss`` of accuracy is lost, with
    probability 1 - delta. The cheapest is chosen on the tune rows.
    """
    scores = {split: score_of("calibrated confidence", case, split) for split in ("tune", "calibrate", "test")}
    evidence = {
        split: Evidence(scores[split].astype(np.float32), case.records.on(split).correct)
        for split in ("tune", "calibrate")
    }
    try:
        certified = certify_gates(evidence["tune"], evidence["calibrate"], [AccuracyLoss(loss)], delta)
    except NotEnoughSamples:
        return None
    settings = certified.thresholds[certified.accepted]
    tune = scores["tune"].astype(np.float32)
    cost = [energy_j[exits_taken(tune, thresholds)].mean() for thresholds in settings]
    return exits_taken(scores["test"].astype(np.float32), settings[int(np.argmin(cost))])
