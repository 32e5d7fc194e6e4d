"""BranchyNet's rule: leave at the first exit whose entropy is below one threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.scores import NegativeEntropy
from offramp.confidence.settings import exits_taken, threshold_grid
from offramp.records.records import Records

__all__ = ["SingleThreshold", "best_single_threshold"]

_POINTS = 400


@dataclass(frozen=True)
class SingleThreshold:
    """One threshold on 1 - entropy / ln K for all exits, and the placement (row of a cost table) it is best on."""

    threshold: float
    placement: int

    def exits(self, records: Records) -> NDArray[np.intp]:
        """(n,) the exit every row leaves by."""
        return exits_taken(_scores(records), np.full(records.exits - 1, self.threshold))


def best_single_threshold(tune: Records, cost_s: NDArray[np.float64], accuracy_loss: float) -> SingleThreshold:
    """The threshold and placement with the least mean latency among those that lose little enough.

    Parameters
    ----------
    tune : the rows to choose on
    cost_s : (P, E) seconds of every placement and exit
    accuracy_loss : most accuracy (0..1) to lose against the last exit; never leaving early loses
        nothing, so there is always an answer
    """
    scores = _scores(tune)
    floor = float(tune.correct[-1].mean()) - accuracy_loss - 1e-12
    row = np.arange(len(tune))
    best: tuple[float, SingleThreshold] | None = None
    for threshold in threshold_grid(scores.ravel(), _POINTS).tolist():
        exits = exits_taken(scores, np.full(tune.exits - 1, threshold))
        if tune.correct[exits, row].mean() < floor:
            continue
        mean_s = cost_s @ (np.bincount(exits, minlength=tune.exits) / len(tune))
        placement = int(mean_s.argmin())
        if best is None or mean_s[placement] < best[0]:
            best = (float(mean_s[placement]), SingleThreshold(threshold, placement))
    if best is None:
        raise AssertionError("never leaving early loses nothing")
    return best[1]


def _scores(records: Records) -> NDArray[np.float32]:
    """(E - 1, n) one minus the normalised entropy of every early exit, uncalibrated."""
    score = NegativeEntropy().score
    return np.stack([score(logits) for logits in records.logits[:-1]]).astype(np.float32)
