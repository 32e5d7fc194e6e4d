"""The profile of a tier that nobody can touch, predicted from what operators cost on a machine like it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.segment import Segment
from offramp.cascade.store import Cascade, open_cascade
from offramp.codecs.base import Codec
from offramp.codecs.registry import get_codec
from offramp.errors import ConfigError
from offramp.profiles.measure import stored_rows
from offramp.profiles.operator_costs import OperatorCosts
from offramp.profiles.payloads import encoded_bytes, served_cuts
from offramp.profiles.profile import PayloadCost, Profile, SegmentCost, TransportCost
from offramp.profiles.rows import Rows, batches_of, input_arrays, tensors_at_cuts, typical_row
from offramp.profiles.segment_macs import segment_macs
from offramp.profiles.tracing import trace_segment

__all__ = ["predict_profile"]

Array = NDArray[Any]


def predict_profile(
    cascade_path: str | Path,
    costs: OperatorCosts,
    tier: str,
    *,
    transport: TransportCost,
    slow_down: float = 1.0,
    codecs: Sequence[str] = ("raw", "zstd"),
    samples: Sequence[Array] | Array | None = None,
) -> Profile:
    """Predict a profile: the cascade runs here once for its shapes and payloads, its seconds come from ``costs``.

    The operators are those ONNX Runtime makes of the cascade on this machine; on another kind of processor it may
    fuse and lay out differently. Bytes are measured, since they are the same everywhere.

    Parameters
    ----------
    cascade_path : the folder ``NAME.cascade``
    costs : fitted on a machine like the tier
    tier : name of the tier
    transport : what one offload costs beside payload and link; its ``hop_s`` gives way to that of ``costs``
    slow_down : the tier is that many times slower than the machine of ``costs``
    codecs : at every cut whose tensors they hold
    samples : rows of every input (or of the only one), for real payload sizes; random rows when ``None``

    Returns
    -------
    Profile with ``how="modelled"``, the machine of ``costs``, and 0 repeats

    Raises
    ------
    CascadeError, SampleError : the cascade cannot be opened, or the samples do not fit it
    ConfigError : a bad option, an unknown codec or one that holds no cut's tensors
    RecordMismatch : ``costs`` lack a kind of operator, or a codec

    Source: Edgent's and Neurosurgeon's prediction by layer type, on operators as they run.
    """
    if not (math.isfinite(slow_down) and slow_down >= 1):
        raise ConfigError(f"tier {tier!r}: slow_down must be at least 1, not {slow_down}")
    cascade = open_cascade(cascade_path)
    manifest = cascade.manifest
    segments = cascade.load_segments()
    with stored_rows(cascade, samples) as file:
        rows = batches_of(manifest, input_arrays(manifest, file), 1)
    cuts = tensors_at_cuts(segments, rows)
    served = served_cuts(manifest, [get_codec(name) for name in codecs], cuts)
    return Profile(
        cascade=manifest.name,
        cascade_fingerprint=manifest.fingerprint,
        tier=tier,
        slow_down=slow_down,
        how="modelled",
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=costs.machine,
        exit_segments=manifest.exit_segments,
        segments=tuple(
            _segment_cost(index, precision, segment, cuts[index], costs, slow_down)
            for index, precision, segment in _in_every_precision(cascade, segments)
        ),
        payloads=tuple(_payload_cost(cut, codec, cuts[cut], costs, slow_down) for cut, codec in served),
        transport=transport if costs.hop_s is None else transport.model_copy(update={"hop_s": costs.hop_s}),
    )


def _in_every_precision(cascade: Cascade, segments: Sequence[Segment]) -> Iterator[tuple[int, str, Segment]]:
    """Index, precision and session of every segment, and of every variant of one."""
    yield from ((index, "fp32", segment) for index, segment in enumerate(segments))
    for index, spec in enumerate(cascade.manifest.segments):
        for variant in spec.variants:
            yield index, variant.precision, cascade.segment(index, precision=variant.precision)


def _segment_cost(
    index: int, precision: str, segment: Segment, rows: Rows, costs: OperatorCosts, slow_down: float
) -> SegmentCost:
    operators = trace_segment(segment, typical_row(rows))
    median_s = slow_down * costs.segment_seconds(operators)
    variant, low_bit = segment.spec.variant(precision), segment.spec.low_bit
    return SegmentCost(
        segment=index,
        precision=precision,
        median_s=median_s,
        mean_s=median_s * costs.mean_ratio,
        p95_s=median_s * costs.p95_ratio,
        repeats=0,
        macs=segment_macs(segment.spec, operators),
        model_bytes=segment.spec.file_bytes if variant is None else variant.file_bytes,
        low_bit_macs=0 if low_bit is None else low_bit.macs,
        bits=None if low_bit is None else low_bit.bits,
    )


def _payload_cost(cut: int, codec: Codec, rows: Rows, costs: OperatorCosts, slow_down: float) -> PayloadCost:
    tensor_bytes = float(np.mean([sum(tensor.nbytes for tensor in row) for row in rows]))
    payload_bytes = encoded_bytes(codec, rows)
    sizes = tensor_bytes, payload_bytes
    return PayloadCost(
        cut=cut,
        codec=codec.name,
        payload_bytes=payload_bytes,
        encode_s=slow_down * costs.codec_seconds("encode", codec.name, sizes),
        decode_s=slow_down * costs.codec_seconds("decode", codec.name, sizes),
    )
