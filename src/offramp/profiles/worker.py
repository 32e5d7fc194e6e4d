"""The fresh process in which a tier's costs are measured.

Reads one JSON object from stdin and writes one to stdout; see `WorkerRequest` and `WorkerReply`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from offramp.cascade.manifest import Manifest, TensorSpec
from offramp.cascade.pace import Pace
from offramp.cascade.sample import check_rows
from offramp.cascade.segment import Segment
from offramp.cascade.store import open_cascade
from offramp.codecs.base import Codec
from offramp.codecs.registry import get_codec
from offramp.errors import OfframpError
from offramp.profiles.profile import PayloadCost, SegmentCost

__all__ = ["MIN_REPEATS", "WorkerReply", "WorkerRequest", "main", "measure_here"]

#: repeats however slow the work is
MIN_REPEATS = 15
_WARM_UPS = 3
#: rows of the random input, and the size of dimensions that are dynamic beside the batch
_RANDOM_ROWS, _DYNAMIC_SIZE = 16, 32

Array = NDArray[Any]
Rows = Sequence[tuple[Array, ...]]  # one tuple of tensors for each row


class WorkerRequest(BaseModel):
    """What to measure: ``samples`` is an ``.npz`` as `numpy.savez` names them, or ``None`` for random rows."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cascade: str
    slow_down: float
    codecs: tuple[str, ...]
    samples: str | None
    repeats: int
    budget_s: float


class WorkerReply(BaseModel):
    """What was measured."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    segments: tuple[SegmentCost, ...]
    payloads: tuple[PayloadCost, ...]


def measure_here(request: WorkerRequest) -> WorkerReply:
    """Measure in this process.

    Raises
    ------
    CascadeError, ConfigError, SampleError : the cascade, a codec or the samples cannot be used
    """
    cascade = open_cascade(request.cascade)
    manifest = cascade.manifest
    segments = cascade.load_segments()
    codecs = [get_codec(name) for name in request.codecs]
    cuts = _tensors_at_cuts(segments, _input_rows(manifest, request.samples))
    variants = [
        (index, spec.precision, cascade.segment(index, precision=spec.precision))
        for index, segment in enumerate(manifest.segments)
        for spec in segment.variants
    ]
    pieces = len(segments) + len(variants) + 2 * len(segments) * len(codecs)
    timer = _Timer(Pace(request.slow_down), request.repeats, request.budget_s / pieces)
    return WorkerReply(
        segments=(
            *(_segment_cost(i, "fp32", segment, cuts[i], timer) for i, segment in enumerate(segments)),
            *(_segment_cost(i, precision, segment, cuts[i], timer) for i, precision, segment in variants),
        ),
        payloads=tuple(_payload_cost(cut, codec, rows, timer) for cut, rows in enumerate(cuts) for codec in codecs),
    )


class _Timer:
    """Times calls at the pace of the tier: at least `MIN_REPEATS`, then up to ``repeats`` while the budget lasts."""

    def __init__(self, pace: Pace, repeats: int, budget_s: float) -> None:
        self._pace = pace
        self._repeats = repeats
        self._budget_s = budget_s

    def seconds(self, call: Callable[[int], object]) -> NDArray[np.float64]:
        """Seconds of ``call(i)`` for i = 0, 1, ..., after a few calls to warm up."""
        for i in range(_WARM_UPS):
            call(i)
        taken: list[float] = []
        end_s = time.perf_counter() + self._budget_s
        while len(taken) < MIN_REPEATS or (len(taken) < self._repeats and time.perf_counter() < end_s):
            begin_s = time.perf_counter()
            self._pace.run(call, len(taken))
            taken.append(time.perf_counter() - begin_s)
        return np.array(taken)


def _segment_cost(index: int, precision: str, segment: Segment, rows: Rows, timer: _Timer) -> SegmentCost:
    taken = timer.seconds(lambda i: segment.run(rows[i % len(rows)]))
    variant = segment.spec.variant(precision)
    return SegmentCost(
        segment=index,
        precision=precision,
        median_s=float(np.median(taken)),
        mean_s=float(taken.mean()),
        p95_s=float(np.quantile(taken, 0.95)),
        repeats=len(taken),
        macs=None if segment.spec.flops is None else segment.spec.flops // 2,
        model_bytes=segment.spec.file_bytes if variant is None else variant.file_bytes,
    )


def _payload_cost(cut: int, codec: Codec, rows: Rows, timer: _Timer) -> PayloadCost:
    encoded = [[codec.encode(tensor) for tensor in row] for row in rows]
    shapes = [[(tensor.dtype.name, tensor.shape) for tensor in row] for row in rows]

    def encode(i: int) -> list[bytes]:
        return [codec.encode(tensor) for tensor in rows[i % len(rows)]]

    def decode(i: int) -> list[Array]:
        row = i % len(rows)
        return [codec.decode(data, *kind) for data, kind in zip(encoded[row], shapes[row], strict=True)]

    return PayloadCost(
        cut=cut,
        codec=codec.name,
        payload_bytes=float(np.mean([sum(map(len, row)) for row in encoded])),
        encode_s=float(np.median(timer.seconds(encode))),
        decode_s=float(np.median(timer.seconds(decode))),
    )


def _tensors_at_cuts(segments: Sequence[Segment], inputs: Rows) -> list[Rows]:
    """For every segment the tensors it is handed, row by row: real features, not random ones."""
    cuts: list[Rows] = [inputs]
    for segment in segments[:-1]:
        restarts = segment.spec.hand_over == "input"
        cuts.append(inputs if restarts else [segment.run(row).hand_over for row in cuts[-1]])
    return cuts


def _input_rows(manifest: Manifest, samples: str | None) -> Rows:
    if samples is None:
        rng = np.random.default_rng(0)
        inputs = [_random_rows(spec, rng) for spec in manifest.inputs]
    else:
        with np.load(Path(samples), allow_pickle=False) as stored:
            inputs = [stored[f"arr_{i}"] for i in range(len(stored.files))]
    checked = check_rows(manifest, inputs)
    return [_row(manifest, checked, i) for i in range(len(checked[0]))]


def _row(manifest: Manifest, arrays: Sequence[Array], index: int) -> tuple[Array, ...]:
    """One row of every input; of text without the padding it shares with longer rows."""
    row = tuple(array[index : index + 1] for array in arrays)
    if manifest.tokenizer is None:
        return row
    length = max(1, int(row[1].sum()))
    return tuple(each[:, :length] for each in row)


def _random_rows(spec: TensorSpec, rng: np.random.Generator) -> Array:
    shape = (_RANDOM_ROWS, *(_DYNAMIC_SIZE if size is None else size for size in spec.row_shape))
    if spec.dtype.startswith("float"):
        return rng.normal(0, 1, shape).astype(spec.dtype)
    return rng.integers(0, 256 if spec.dtype == "uint8" else 2, shape).astype(spec.dtype)


def main() -> int:
    """``python -m offramp.profiles.worker``; returns the exit code."""
    try:
        reply = measure_here(WorkerRequest.model_validate_json(sys.stdin.read()))
    except OfframpError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(reply.model_dump_json() + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
