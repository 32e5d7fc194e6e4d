"""The fresh process in which single operators are measured.

Reads one JSON object from stdin and writes one to stdout; see `BenchRequest` and `BenchReply`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime as ort
from pydantic import BaseModel, ConfigDict

from offramp.cascade.pace import Pace
from offramp.cascade.segment import session_options
from offramp.profiles.measurements import SegmentMeasurement
from offramp.profiles.profile import SegmentCost
from offramp.profiles.timing import Timer, pinned
from offramp.profiles.tracing import trace_model

__all__ = ["BenchReply", "BenchRequest", "main", "measure_models_here"]

OUTPUT = "y"


class BenchRequest(BaseModel):
    """A folder of models ``N.onnx``, each with one row for its inputs, as `numpy.savez` names them, in ``N.npz``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    folder: str
    repeats: int
    budget_s: float
    traces: int


class BenchReply(BaseModel):
    """What was measured of each model, in the order of their names."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    segments: tuple[SegmentMeasurement, ...]


def measure_models_here(request: BenchRequest) -> BenchReply:
    """Measure in this process."""
    files = sorted(Path(request.folder).glob("*.onnx"))
    timer = Timer(Pace(), request.repeats, request.budget_s / max(1, 2 * len(files)))
    return BenchReply(segments=tuple(_measured(i, file, timer, request.traces) for i, file in enumerate(files)))


def _measured(index: int, file: Path, timer: Timer, traces: int) -> SegmentMeasurement:
    session = ort.InferenceSession(str(file), session_options(), providers=["CPUExecutionProvider"])
    with np.load(file.with_suffix(".npz"), allow_pickle=False) as stored:
        feed = {tensor.name: stored[f"arr_{i}"] for i, tensor in enumerate(session.get_inputs())}
    taken = timer.seconds(lambda _: session.run([OUTPUT], feed))
    cost = SegmentCost(
        segment=index,
        median_s=float(np.median(taken)),
        mean_s=float(taken.mean()),
        p95_s=float(np.quantile(taken, 0.95)),
        repeats=len(taken),
    )
    cpu_s = float(np.median(timer.cpu_seconds(lambda _: session.run([OUTPUT], feed))))
    return SegmentMeasurement(cost=cost, cpu_s=cpu_s, operators=trace_model(file, feed, [OUTPUT], traces))


def main() -> int:
    """``python -m offramp.profiles.bench_worker``; returns the exit code."""
    with pinned():
        reply = measure_models_here(BenchRequest.model_validate_json(sys.stdin.read()))
    sys.stdout.write(reply.model_dump_json() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
