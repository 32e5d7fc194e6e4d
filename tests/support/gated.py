"""A tiny cascade whose plan decides on gain: records, gates that ask what earlier exits answered, and the plan."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.store import Cascade
from offramp.confidence.gates import Gate
from offramp.planning.plan import GateSpec, Plan
from offramp.records.confidences import gate_scores
from offramp.records.fit_gates import choosing_rows, fit_gates
from offramp.records.records import RecordProvenance, Records
from tests.support.tiny import make_tiny_cascade, tiny_rows

__all__ = ["TIERS", "Gated", "make_gated"]

TIERS = ("device", "edge", "cloud")
TEMPERATURES = (0.7, 1.9, 1.0)


@dataclass(frozen=True)
class Gated:
    """``inputs`` (n, 4) are the rows of ``records``; the gates' thresholds let a third or so leave at each exit."""

    cascade: Cascade
    inputs: NDArray[np.float32]
    records: Records
    gates: tuple[Gate, ...]

    def plan(self, placement: tuple[str, ...] = TIERS) -> Plan:
        """A plan with these gates."""
        return Plan(
            cascade=self.cascade.name,
            cascade_fingerprint=self.cascade.manifest.fingerprint,
            tiers=TIERS,
            placement=placement,
            gates=tuple(GateSpec.of(gate) for gate in self.gates),
            temperatures=TEMPERATURES,
        )


def make_gated(folder: Path, kind: str = "gain", rows: int = 1200) -> Gated:
    """Three exits, each right on some rows; half of the rows tune, half calibrate."""
    cascade = make_tiny_cascade(folder, segments=3)
    inputs = tiny_rows(rows)
    tensors: tuple[NDArray[np.float32], ...] = (inputs,)
    logits = []
    for segment in cascade.load_segments():
        tensors, values = segment.run_with_logits(tensors)
        assert values is not None
        logits.append(values)
    stacked = np.stack(logits)
    who = np.random.default_rng(0).choice(3, rows, p=(0.2, 0.3, 0.5))
    labels = stacked.argmax(-1)[who, np.arange(rows)]
    source = RecordProvenance("tiny", cascade.manifest.fingerprint, "none", "cd" * 32, 0, "tests", "2026-01-01")
    split = np.where(np.arange(rows) % 2 == 0, "tune", "calibrate").astype("<U9")
    records = Records(stacked, labels, split, np.arange(rows), cascade.manifest.exit_names, source)
    fitted = fit_gates(records, TEMPERATURES, kind)
    scores = gate_scores(choosing_rows(records, fitted), TEMPERATURES, fitted)
    gates = tuple(gate.with_threshold(_between(score)) for gate, score in zip(fitted, scores, strict=True))
    return Gated(cascade, inputs, records, gates)


def _between(score: NDArray[np.float32]) -> float:
    """A threshold that two thirds miss, midway between two scores."""
    ordered = np.unique(score)
    at = int(len(ordered) * 2 / 3)
    return float((ordered[at - 1] + ordered[at]) / 2)
