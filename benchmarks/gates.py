"""What a gate costs per row: alone, and in a batch of 256, against a threshold on the confidence."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from offramp.confidence.gates import EntropyGate, ExitEvidence, GainGate, Gate, LogisticGate, MarginGate, ThresholdGate
from offramp.confidence.scores import softmax

__all__ = ["run"]

BATCH = 256
AIM_US = 5.0


def run(quick: bool) -> list[dict[str, Any]]:
    """Microseconds per row of every gate, for 10 classes with one earlier exit, and for 100 classes.

    Parameters
    ----------
    quick : a tenth of the calls
    """
    calls = 200 if quick else 2_000
    rows = []
    for classes, earlier in ((10, 1), (100, 0)):
        evidence, gates = _case(classes, earlier)
        for size in (1, BATCH):
            batches = [_take(evidence, begin, size) for begin in range(0, 1024, size)]
            baseline = _us_per_row(gates[0], batches, calls)
            rows += [_row(gate, classes, size, baseline, _us_per_row(gate, batches, calls)) for gate in gates[1:]]
    return rows


def _row(gate: Gate, classes: int, size: int, baseline: float, ours: float) -> dict[str, Any]:
    fitted = f"{gate.parameters} fitted numbers; " if isinstance(gate, GainGate) else ""
    return {
        "name": f"{gate.kind}, {classes} classes, batch {size}",
        "baseline": baseline,
        "ours": ours,
        "ratio": ours / AIM_US,
        "unit": "us",
        "how": "measured: per row, median of 7 blocks of calls of stop()",
        "notes": f"{fitted}baseline: a threshold on the confidence; ratio: ours / the {AIM_US:g} us aimed at",
    }


def _case(classes: int, earlier: int) -> tuple[ExitEvidence, list[Gate]]:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, classes, 1024)
    probabilities = softmax(rng.normal(0, 1, (1024, classes)) + 4 * np.eye(classes)[labels]).astype(np.float32)
    answers = rng.integers(0, classes, (earlier, 1024)) if earlier else None
    evidence = ExitEvidence(earlier, probabilities.max(-1), probabilities, answers)
    right = probabilities.argmax(-1) == labels
    gain = GainGate.fit(evidence, right, rng.random(1024) < 0.9, price=0.2)
    logistic = LogisticGate.fit(evidence, right, 0.8)
    return evidence, [ThresholdGate(0.8), MarginGate(0.5), EntropyGate(0.5), logistic, gain]


def _take(evidence: ExitEvidence, begin: int, size: int) -> ExitEvidence:
    here = slice(begin, begin + size)
    answers = None if evidence.earlier_labels is None else evidence.earlier_labels[:, here]
    return ExitEvidence(evidence.exit, evidence.confidence[here], evidence.probabilities[here], answers)


def _us_per_row(gate: Gate, batches: list[ExitEvidence], calls: int) -> float:
    size = len(batches[0].confidence)
    calls = max(20, calls // size)
    blocks = []
    for _ in range(7):
        begin = time.perf_counter()
        for index in range(calls):
            gate.stop(batches[index % len(batches)])
        blocks.append(time.perf_counter() - begin)
    return 1e6 * float(np.median(blocks)) / (calls * size)
