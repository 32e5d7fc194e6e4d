"""The fresh process in which a tier's costs are measured.

Reads one JSON object from stdin and writes one to stdout; see `WorkerRequest` and `WorkerReply`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
from offramp.codecs.pictures import Pictures
from offramp.codecs.registry import get_codec
from offramp.errors import ConfigError, OfframpError, SampleError
from offramp.profiles.profile import PayloadCost, SegmentCost

__all__ = ["MIN_REPEATS", "WorkerReply", "WorkerRequest", "main", "measure_here", "pinned"]

#: repeats however slow the work is
MIN_REPEATS = 15
_WARM_UPS = 3
#: rows of the random input, and the size of dimensions that are dynamic beside the batch
_RANDOM_ROWS, _DYNAMIC_SIZE = 16, 32

Array = NDArray[Any]
Rows = Sequence[tuple[Array, ...]]  # one tuple of tensors for each row


class WorkerRequest(BaseModel):
    """What to measure: ``samples`` is an ``.npz`` as `numpy.savez` names them, or ``None`` for random rows;
    segments run ``batches`` rows at once, payloads are of one row."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    cascade: str
    slow_down: float
    codecs: tuple[str, ...]
    samples: str | None
    repeats: int
    budget_s: float
    batches: tuple[int, ...] = (1,)


class WorkerReply(BaseModel):
    """What was measured, and on which processor if on one only."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    pinned_cpu: int | None = None
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
    variants = [
        (index, spec.precision, cascade.segment(index, precision=spec.precision))
        for index, segment in enumerate(manifest.segments)
        for spec in segment.variants
    ]
    pieces = [*((index, "fp32", segment) for index, segment in enumerate(segments)), *variants]
    inputs = _input_arrays(manifest, request.samples)
    cuts = {size: _tensors_at_cuts(segments, _batches(manifest, inputs, size)) for size in request.batches}
    carried = _carried(manifest, [get_codec(name) for name in request.codecs], cuts[1])
    timed = len(pieces) * len(cuts) + 2 * len(carried)
    timer = _Timer(Pace(request.slow_down), request.repeats, request.budget_s / timed)
    return WorkerReply(
        segments=tuple(
            _segment_cost(index, precision, segment, size, rows[index], timer)
            for size, rows in cuts.items()
            for index, precision, segment in pieces
        ),
        payloads=tuple(_payload_cost(cut, codec, cuts[1][cut], timer) for cut, codec in carried),
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


def _segment_cost(index: int, precision: str, segment: Segment, batch: int, rows: Rows, timer: _Timer) -> SegmentCost:
    taken = timer.seconds(lambda i: segment.run(rows[i % len(rows)]))
    variant = segment.spec.variant(precision)
    return SegmentCost(
        segment=index,
        precision=precision,
        batch=batch,
        median_s=float(np.median(taken)),
        mean_s=float(taken.mean()),
        p95_s=float(np.quantile(taken, 0.95)),
        repeats=len(taken),
        macs=None if segment.spec.flops is None else segment.spec.flops // 2,
        model_bytes=segment.spec.file_bytes if variant is None else variant.file_bytes,
    )


def _carried(manifest: Manifest, codecs: Sequence[Codec], cuts: Sequence[Rows]) -> list[tuple[int, Codec]]:
    """Every cut with every codec that holds its tensors."""
    carried = [(cut, codec) for cut, rows in enumerate(cuts) for codec in codecs if _holds(codec, rows)]
    found = {codec.name for _, codec in carried}
    for codec in codecs:
        if codec.name not in found:
            raise ConfigError(
                f"codec {codec.name!r} holds the tensors of no cut of {manifest.name!r}; choose another with --codec"
            )
    return carried


def _holds(codec: Codec, rows: Rows) -> bool:
    tensors = [tensor for row in rows for tensor in row]
    if isinstance(codec, Pictures):
        return all(codec.holds(tensor.dtype.name, tensor.shape) for tensor in tensors)
    try:
        for tensor in tensors:
            codec.encode(tensor)
    except SampleError:
        return False
    return True


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


def _input_arrays(manifest: Manifest, samples: str | None) -> tuple[Array, ...]:
    if samples is None:
        rng = np.random.default_rng(0)
        inputs = [_random_rows(spec, rng) for spec in manifest.inputs]
    else:
        with np.load(Path(samples), allow_pickle=False) as stored:
            inputs = [stored[f"arr_{i}"] for i in range(len(stored.files))]
    return check_rows(manifest, inputs)


def _batches(manifest: Manifest, arrays: Sequence[Array], size: int) -> Rows:
    """All rows in batches of this size, some rows again where they do not fill the last one; of text without
    the padding that all rows of a batch share."""
    rows = len(arrays[0])
    batches = []
    for start in range(0, rows, size):
        chosen = np.arange(start, start + size) % rows
        batch = tuple(array[chosen] for array in arrays)
        if manifest.tokenizer is not None:
            length = max(1, int(batch[1].sum(1).max()))
            batch = tuple(each[:, :length] for each in batch)
        batches.append(batch)
    return batches


def _random_rows(spec: TensorSpec, rng: np.random.Generator) -> Array:
    shape = (_RANDOM_ROWS, *(_DYNAMIC_SIZE if size is None else size for size in spec.row_shape))
    if spec.dtype.startswith("float"):
        return rng.normal(0, 1, shape).astype(spec.dtype)
    return rng.integers(0, 256 if spec.dtype == "uint8" else 2, shape).astype(spec.dtype)


@contextmanager
def pinned() -> Iterator[int | None]:
    """Keep this process on one processor, the last it may use; gives its number, or ``None`` where that cannot be."""
    if not hasattr(os, "sched_setaffinity"):
        yield None
        return
    before = os.sched_getaffinity(0)
    cpu = max(before)
    try:
        os.sched_setaffinity(0, {cpu})
    except OSError:  # not every container allows it
        yield None
        return
    try:
        yield cpu
    finally:
        os.sched_setaffinity(0, before)


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
