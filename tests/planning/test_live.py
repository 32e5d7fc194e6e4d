"""A replayed plan leaves by the same exits as the running segments."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.segment import SegmentOutput
from offramp.cascade.walk import walk
from offramp.confidence.gates import ExitEvidence, ThresholdGate
from offramp.confidence.settings import GateSettings, exits_taken
from offramp.records.confidences import confidences
from offramp.records.records import RecordProvenance, Records
from tests.support.tiny import CLASSES, make_tiny_cascade, tiny_rows

TEMPERATURES = (0.7, 1.9, 1.0)


@pytest.mark.parametrize("batch", [1, 400])
def test_replay_and_live_leave_by_the_same_exits(tmp_path: Path, batch: int) -> None:
    cascade = make_tiny_cascade(tmp_path, segments=3)
    segments = cascade.load_segments()
    rows = tiny_rows(400)
    tensors: tuple[np.ndarray, ...] = (rows,)
    logits = []
    for segment in segments:
        tensors, values = segment.run_with_logits(tensors)
        assert values is not None
        logits.append(values)
    labels = logits[-1].argmax(-1)
    provenance = RecordProvenance("tiny", cascade.manifest.fingerprint, "none", "cd" * 32, 0, "tests", "2026-01-01")
    split = np.full(400, "tune", "<U9")
    records = Records(np.stack(logits), labels, split, np.arange(400), ("a", "b", "c"), provenance)

    confidence = confidences(records, TEMPERATURES)
    settings = GateSettings.build(confidence, records.correct, 400)
    for thresholds in settings.thresholds[:: 37 if batch > 1 else 170]:
        gates = [ThresholdGate(None if np.isinf(t) else float(t)) for t in thresholds]

        def stop(exit_index: int, output: SegmentOutput, gates: list[ThresholdGate] = gates) -> np.ndarray:
            assert output.confidence is not None
            assert output.probabilities is not None
            if exit_index == len(gates):
                return np.ones(len(output.confidence), bool)
            return gates[exit_index].stop(ExitEvidence(exit_index, output.confidence, output.probabilities))

        taken = np.concatenate(
            [
                walk(segments, [0, 1, 2], TEMPERATURES, (rows[i : i + batch],), stop, CLASSES).exit
                for i in range(0, 400, batch)
            ]
        )
        np.testing.assert_array_equal(taken, exits_taken(confidence, thresholds))
