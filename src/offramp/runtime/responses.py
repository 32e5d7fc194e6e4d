"""Responses of the Open Inference Protocol, as tiers give and read them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.manifest import Manifest
from offramp.errors import PeerRefused, SampleError
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.replies import OUTPUTS, described, write_response
from offramp.runtime.rows import Rows
from offramp.runtime.stamps import STAMPS, Stamps
from offramp.runtime.tensors import decode_bytes_rows

__all__ = ["OUTPUTS", "add_stamps", "build_response", "parse_response"]

Array = NDArray[Any]


def build_response(model: str, request_id: str, rows: Rows, outputs: Sequence[str] = ()) -> pb.ModelInferResponse:
    """The response for n answered rows, with the outputs asked for (empty: all)."""
    return pb.ModelInferResponse.FromString(write_response(model, request_id, rows, outputs))


def add_stamps(message: pb.ModelInferResponse, tier: str, stamps: Stamps) -> None:
    """Say in a response when ``tier`` did what."""
    message.parameters[f"{STAMPS}.{tier}"].string_param = stamps.to_text()


def parse_response(message: pb.ModelInferResponse, rows: int, manifest: Manifest, tier: str) -> Rows:
    """Read a peer's response to ``rows`` rows.

    A plain model server gives neither ``exit``, ``tier`` nor ``degraded``: then the last exit on
    ``tier`` has answered.

    Raises
    ------
    PeerRefused : the response does not hold what it must
    """
    classes, exits = len(manifest.labels), len(manifest.exit_segments)
    answer = _as_tiers_give_it(message, rows, classes, tier) or _as_anybody_may(message, rows, classes, exits, tier)
    _require_range(answer.label, classes, "label", tier)
    _require_range(answer.exit, exits, "exit", tier)
    for key, value in message.parameters.items():
        kind, _, name = key.partition(".")
        if kind in ("compute_s", "queue_s") and name:
            (answer.compute_s if kind == "compute_s" else answer.queue_s)[name] = value.double_param
        elif kind == STAMPS and name:
            answer.stamps[name] = Stamps.from_text(value.string_param)
    return answer


def _as_tiers_give_it(message: pb.ModelInferResponse, rows: int, classes: int, tier: str) -> Rows | None:
    """The rows of a response described as our tiers describe theirs; ``None`` where it is another."""
    contents = message.raw_output_contents
    if len(contents) != len(OUTPUTS) or message.outputs != described("", tuple(OUTPUTS), rows, classes).outputs:
        return None
    label, probabilities, confidence, exit_index, *_ = contents
    sizes = len(label), len(probabilities), len(confidence), len(exit_index)
    if sizes != (8 * rows, 4 * rows * classes, 4 * rows, 8 * rows):
        return None
    return Rows(
        np.frombuffer(label, "<i8"),
        np.frombuffer(probabilities, "<f4").reshape(rows, classes),
        np.frombuffer(confidence, "<f4"),
        np.frombuffer(exit_index, "<i8"),
        _words(message, 4, rows, tier, tier),
        _words(message, 5, rows, "", tier),
    )


def _as_anybody_may(message: pb.ModelInferResponse, rows: int, classes: int, exits: int, tier: str) -> Rows:
    """The rows of any response, every output checked."""
    found = {output.name: index for index, output in enumerate(message.outputs)}
    if len(message.raw_output_contents) != len(message.outputs):
        raise PeerRefused(f"{tier}: the response holds no raw_output_contents for its outputs")

    def column(name: str, dtype: str, shape: tuple[int, ...]) -> Array:
        output = message.outputs[found[name]]
        data = message.raw_output_contents[found[name]]
        expected = math.prod(shape) * np.dtype(dtype).itemsize
        if output.datatype != OUTPUTS[name] or tuple(output.shape) != shape or len(data) != expected:
            raise PeerRefused(
                f"{tier}: output {name!r} must be {OUTPUTS[name]} of shape {shape}, "
                f"not {output.datatype[:20]} of shape {tuple(output.shape)[:8]} in {len(data)} bytes"
            )
        return np.frombuffer(data, dtype).reshape(shape)

    for name in ("label", "probabilities", "confidence"):
        if name not in found:
            raise PeerRefused(f"{tier}: the response has no output {name!r}")
    return Rows(
        column("label", "<i8", (rows,)),
        column("probabilities", "<f4", (rows, classes)),
        column("confidence", "<f4", (rows,)),
        column("exit", "<i8", (rows,)) if "exit" in found else np.full(rows, exits - 1, np.int64),
        _words(message, found.get("tier"), rows, tier, tier),
        _words(message, found.get("degraded"), rows, "", tier),
    )


def _require_range(values: Array, stop: int, name: str, tier: str) -> None:
    if any(not 0 <= value < stop for value in values.tolist()):
        raise PeerRefused(f"{tier}: output {name!r} must lie in 0..{stop - 1}")


def _words(message: pb.ModelInferResponse, index: int | None, rows: int, default: str, tier: str) -> list[str]:
    if index is None:
        return [default] * rows
    try:
        return decode_bytes_rows(message.raw_output_contents[index], rows)
    except SampleError as error:
        raise PeerRefused(f"{tier}: {error}") from error
