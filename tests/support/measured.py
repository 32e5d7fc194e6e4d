"""Measurements that follow a known law, so that what is fitted to them can be checked."""

from __future__ import annotations

import numpy as np

from offramp.profiles.measurements import OPERATORS, CascadeMeasurement, CodecMeasurement, SegmentMeasurement
from offramp.profiles.operators import Operator
from offramp.profiles.profile import MachineInfo, SegmentCost

MACHINE = MachineInfo(cpu="c", cores=2, system="Linux", versions={})
#: seconds: a call, a multiply-accumulate of a product, a value of an activation, and the profiler for each tensor
CALL_S, MAC_S, VALUE_S, TRACED_S = 5e-6, 2e-11, 4e-10, 6e-7


def product(width: int, outputs: int, rows: int = 1) -> Operator:
    """A matrix product that takes 2 microseconds and its work."""
    shapes = ((rows, width), (width, outputs)), ((rows, outputs),)
    return _timed("Gemm", *shapes, 2e-6 + MAC_S * rows * width * outputs)


def activation(values: int) -> Operator:
    """An activation that takes 1 microsecond and its values."""
    return _timed("Gelu", ((1, values),), ((1, values),), 1e-6 + VALUE_S * values)


def _timed(type_: str, inputs: tuple[tuple[int, ...], ...], outputs: tuple[tuple[int, ...], ...], s: float) -> Operator:
    traced = s + TRACED_S * (len(inputs) + len(outputs))
    return Operator(type=type_, integer=False, inputs=inputs, outputs=outputs, seconds=traced)


def true_seconds(operators: tuple[Operator, ...]) -> float:
    """What a segment of these takes without the profiler."""
    return CALL_S + sum(op.seconds - TRACED_S * op.tensors for op in operators)


def measurement(name: str, seed: int, segments: int = 6, machine: MachineInfo = MACHINE) -> CascadeMeasurement:
    """Segments of products and activations of random sizes."""
    rng = np.random.default_rng(seed)
    measured = []
    for index in range(segments):
        sizes = rng.integers((16, 16, 1), (2048, 2048, 64), (int(rng.integers(1, 5)), 3)).tolist()
        operators = tuple(op for w, out, rows in sizes for op in (product(w, out, rows), activation(out)))
        seconds = true_seconds(operators)
        cost = SegmentCost(segment=index, median_s=seconds, mean_s=1.1 * seconds, p95_s=1.5 * seconds, repeats=15)
        measured.append(SegmentMeasurement(cost=cost, cpu_s=seconds, operators=operators))
    codecs = tuple(
        CodecMeasurement(
            codec="raw", tensor_bytes=size, payload_bytes=size, encode_s=1e-6 + 1e-10 * size, decode_s=2e-6
        )
        for size in rng.integers(100, 100_000, 3).tolist()
    )
    return CascadeMeasurement(
        cascade=name,
        cascade_fingerprint=OPERATORS if name == OPERATORS else f"of {name}",
        created_utc="2026-01-01T00:00:00+00:00",
        machine=machine,
        hop_s=1e-3,
        segments=tuple(measured),
        codecs=codecs,
    )
