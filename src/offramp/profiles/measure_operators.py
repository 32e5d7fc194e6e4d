"""Measuring operators on this machine, those of a cascade and single ones."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.store import open_cascade
from offramp.codecs.registry import get_codec
from offramp.profiles.bench_worker import BenchReply, BenchRequest
from offramp.profiles.machine import this_machine
from offramp.profiles.measure import ask_worker, stored_rows
from offramp.profiles.measurements import OPERATORS, CascadeMeasurement, CodecMeasurement, SegmentMeasurement
from offramp.profiles.profile import PayloadCost
from offramp.profiles.worker import WorkerReply, WorkerRequest

__all__ = ["measure_cascade_operators", "measure_models"]

Array = NDArray[Any]


def measure_cascade_operators(
    cascade_path: str | Path,
    *,
    hop_s: float | None = None,
    codecs: Sequence[str] = ("raw", "zstd"),
    samples: Sequence[Array] | Array | None = None,
    repeats: int = 200,
    budget_s: float = 6.0,
    traces: int = 100,
) -> CascadeMeasurement:
    """Measure a cascade's segments whole and operator by operator, and the codecs, in a fresh process.

    Parameters
    ----------
    cascade_path : the folder ``NAME.cascade``
    hop_s : what one offload costs in protocol work, where it was measured
    codecs, samples, repeats, budget_s : as for `offramp.profiles.measure.measure`
    traces : runs with the profiler on, beside those without

    Raises
    ------
    CascadeError, SampleError, ConfigError : as for `offramp.profiles.measure.measure`
    """
    cascade = open_cascade(cascade_path)
    names = tuple(dict.fromkeys(("raw", *(get_codec(name).name for name in codecs))))
    with stored_rows(cascade, samples) as file:
        request = WorkerRequest(
            cascade=str(cascade_path),
            slow_down=1.0,
            codecs=names,
            samples=file,
            repeats=repeats,
            budget_s=budget_s,
            traces=traces,
        )
        reply = ask_worker(request, "this machine", WorkerReply)
    costs = {(cost.segment, cost.precision): cost for cost in reply.segments}
    return CascadeMeasurement(
        cascade=cascade.name,
        cascade_fingerprint=cascade.manifest.fingerprint,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=this_machine(),
        hop_s=hop_s,
        segments=tuple(
            SegmentMeasurement(cost=costs[trace.segment, trace.precision], cpu_s=trace.cpu_s, operators=trace.operators)
            for trace in reply.traces
        ),
        codecs=_codecs(reply.payloads),
    )


def _codecs(payloads: Sequence[PayloadCost]) -> tuple[CodecMeasurement, ...]:
    tensor_bytes = {cost.cut: cost.payload_bytes for cost in payloads if cost.codec == "raw"}
    return tuple(
        CodecMeasurement(
            codec=cost.codec,
            tensor_bytes=tensor_bytes[cost.cut],
            payload_bytes=cost.payload_bytes,
            encode_s=cost.encode_s,
            decode_s=cost.decode_s,
        )
        for cost in payloads
    )


def measure_models(
    models: Iterable[tuple[bytes, Mapping[str, Array]]], *, repeats: int = 100, budget_s: float = 10.0, traces: int = 60
) -> CascadeMeasurement:
    """Measure single operators, each a model of its own, in a fresh process.

    Parameters
    ----------
    models : bytes of an ONNX model with the output ``y``, and one row for its inputs; see
        `offramp.cascade.operator_bench.operator_models`
    repeats, budget_s : at most so many timings of each model, and seconds for all of them
    traces : runs with the profiler on, beside those without

    Raises
    ------
    ConfigError : the measuring process failed
    """
    with tempfile.TemporaryDirectory(prefix="offramp-") as folder:
        for index, (content, feed) in enumerate(models):
            file = Path(folder) / f"{index:05}.onnx"
            file.write_bytes(content)
            np.savez(file.with_suffix(".npz"), *feed.values())
        request = BenchRequest(folder=folder, repeats=repeats, budget_s=budget_s, traces=traces)
        reply = ask_worker(request, "this machine", BenchReply, "bench_worker")
    return CascadeMeasurement(
        cascade=OPERATORS,
        cascade_fingerprint=OPERATORS,
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=this_machine(),
        segments=reply.segments,
        codecs=(),
    )
