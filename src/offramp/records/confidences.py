"""What the gates of every early exit look at, on recorded rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.base import Gate
from offramp.confidence.gates.evidence import ExitEvidence
from offramp.confidence.gates.scoring import check_gates, scoring_gates
from offramp.confidence.served import served_confidence, served_probabilities
from offramp.records.records import Records

__all__ = ["confidences", "exit_evidence", "gate_scores"]


def confidences(records: Records, temperatures: Sequence[float]) -> NDArray[np.float32]:
    """(E - 1, n) calibrated confidence of every early exit, as the running segments compute it."""
    early = records.exits - 1
    result = np.empty((early, len(records)), np.float32)
    for index in range(early):
        result[index] = served_confidence(records.logits[index], temperatures[index])
    return result


def gate_scores(
    records: Records, temperatures: Sequence[float], gates: Sequence[Gate] | None = None
) -> NDArray[np.float32]:
    """(E - 1, n) score of the gate of every early exit, as the running tiers compute it.

    Parameters
    ----------
    records : the rows
    temperatures : (E,) of the exits
    gates : one per early exit, whatever their thresholds; default: the calibrated confidence

    Raises
    ------
    ConfigError : gates of another cascade
    """
    chosen = scoring_gates(gates)
    if gates:
        check_gates(gates, records.exits - 1)
    if not chosen:
        return confidences(records, temperatures)
    result = np.empty((records.exits - 1, len(records)), np.float32)
    for index, gate in enumerate(chosen):
        evidence = exit_evidence(records, temperatures, index, labels=gate.earlier_exits > 0)
        result[index] = gate.score(evidence)
    return result


def exit_evidence(records: Records, temperatures: Sequence[float], index: int, labels: bool = True) -> ExitEvidence:
    """What the gate of exit ``index`` knows of the rows; ``labels`` adds what the exits before it answered."""
    probabilities = served_probabilities(records.logits[index], temperatures[index])
    earlier = records.logits[:index].argmax(-1) if labels and index else None
    return ExitEvidence(index, probabilities.max(-1, initial=0.0), probabilities, earlier)
