"""The fresh process in which a tier's costs are measured.

Reads one JSON object from stdin and writes one to stdout; see `WorkerRequest` and `WorkerReply`.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from offramp.cascade.pace import Pace
from offramp.cascade.segment import Segment
from offramp.cascade.store import open_cascade
from offramp.codecs.registry import get_codec
from offramp.errors import OfframpError
from offramp.profiles.operators import SegmentTrace
from offramp.profiles.payloads import payload_cost, served_cuts
from offramp.profiles.profile import PayloadCost, SegmentCost
from offramp.profiles.rows import Rows, batches_of, input_arrays, tensors_at_cuts, typical_row
from offramp.profiles.segment_macs import segment_macs
from offramp.profiles.timing import Timer, pinned
from offramp.profiles.tracing import trace_segment

__all__ = ["WorkerReply", "WorkerRequest", "main", "measure_here"]

Array = NDArray[Any]


class WorkerRequest(BaseModel):
    """What to measure: ``samples`` is an ``.npz`` as `numpy.savez` names them, or ``None`` for random rows;
    segments run ``batches`` rows at once, payloads are of one row; with ``traces`` every segment is also run that
    often with each of its operators timed; ``rest_s`` seconds pass before each timed call."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cascade: str
    slow_down: float
    codecs: tuple[str, ...]
    samples: str | None
    repeats: int
    budget_s: float
    batches: tuple[int, ...] = (1,)
    traces: int = 0
    rest_s: float = 0.0


class WorkerReply(BaseModel):
    """What was measured, and on which processor if on one only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pinned_cpu: int | None = None
    segments: tuple[SegmentCost, ...]
    payloads: tuple[PayloadCost, ...]
    traces: tuple[SegmentTrace, ...] = ()


def measure_here(request: WorkerRequest) -> WorkerReply:
    """Measure in this process.

    Raises
    ------
    CascadeError, ConfigError, SampleError : the cascade, a codec or the samples cannot be used
    """
    cascade = open_cascade(request.cascade)
    manifest = cascade.manifest
    segments = cascade.load_segments()
    variants = [
        (index, spec.precision, cascade.segment(index, precision=spec.precision))
        for index, segment in enumerate(manifest.segments)
        for spec in segment.variants
    ]
    pieces = [*((index, "fp32", segment) for index, segment in enumerate(segments)), *variants]
    inputs = input_arrays(manifest, request.samples)
    cuts = {size: tensors_at_cuts(segments, batches_of(manifest, inputs, size)) for size in request.batches}
    served = served_cuts(manifest, [get_codec(name) for name in request.codecs], cuts[1])
    timed = len(pieces) * (len(cuts) + (request.traces > 0)) + 2 * len(served)
    timer = Timer(Pace(request.slow_down), request.repeats, request.budget_s / timed, request.rest_s)
    macs = [_macs(segment, typical_row(rows)) for segment, rows in zip(segments, cuts[1], strict=True)]
    return WorkerReply(
        segments=tuple(
            _segment_cost(index, precision, segment, size, rows[index], macs[index], timer)
            for size, rows in cuts.items()
            for index, precision, segment in pieces
        ),
        payloads=tuple(payload_cost(cut, codec, cuts[1][cut], timer) for cut, codec in served),
        traces=tuple(
            _trace(index, precision, segment, typical_row(cuts[1][index]), timer, request.traces)
            for index, precision, segment in (pieces if request.traces else ())
        ),
    )


def _macs(segment: Segment, row: tuple[Array, ...]) -> int:
    return segment_macs(segment.spec, lambda: trace_segment(segment, row))


def _segment_cost(
    index: int, precision: str, segment: Segment, batch: int, rows: Rows, macs: int, timer: Timer
) -> SegmentCost:
    taken = timer.seconds(lambda i: segment.run(rows[i % len(rows)]))
    variant, low_bit = segment.spec.variant(precision), segment.spec.low_bit
    return SegmentCost(
        segment=index,
        precision=precision,
        batch=batch,
        median_s=float(np.median(taken)),
        mean_s=float(taken.mean()),
        p95_s=float(np.quantile(taken, 0.95)),
        repeats=len(taken),
        macs=macs,
        model_bytes=segment.spec.file_bytes if variant is None else variant.file_bytes,
        low_bit_macs=0 if low_bit is None else low_bit.macs,
        bits=None if low_bit is None else low_bit.bits,
    )


def _trace(
    index: int, precision: str, segment: Segment, row: tuple[Array, ...], timer: Timer, runs: int
) -> SegmentTrace:
    return SegmentTrace(
        segment=index,
        precision=precision,
        cpu_s=float(np.median(timer.cpu_seconds(lambda _: segment.run(row)))),
        operators=trace_segment(segment, row, runs),
    )


def main() -> int:
    """``python -m offramp.profiles.worker``; returns the exit code."""
    try:
        with pinned() as cpu:
            reply = measure_here(WorkerRequest.model_validate_json(sys.stdin.read()))
    except OfframpError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(reply.model_copy(update={"pinned_cpu": cpu}).model_dump_json() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
