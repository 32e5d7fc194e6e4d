"""Requests to model servers that know nothing of cascades, and what their answers mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.segment import LOGITS, PROBABILITIES
from offramp.cascade.tail import require_tail, tail_name
from offramp.errors import PeerRefused
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.requests import parse_header, parse_tensors
from offramp.runtime.responses import build_response
from offramp.runtime.route import Route
from offramp.runtime.rows import Rows
from offramp.runtime.tensors import DATATYPES
from offramp.runtime.tier import Tier

__all__ = ["MOST_ROWS", "PlainRequest", "read_answer", "split", "translate"]

#: rows of one request; what 'offramp export' has Triton take
MOST_ROWS = 64


@dataclass(frozen=True, slots=True)
class PlainRequest:
    """A request a plain model server understands, and what is needed to read its answer."""

    message: pb.ModelInferRequest
    rows: int
    route: Route
    deadline_s: float | None
    traceparent: str = ""


def translate(data: bytes, tier: Tier) -> PlainRequest:
    """The same request for the tail from its cut: the tensors as they are, no parameters of ours.

    Tensors that a codec has packed are unpacked here, so the server computes what a tier would compute.

    Parameters
    ----------
    data : a serialised request for the next tier
    tier : who asks

    Raises
    ------
    OfframpError : the request is none of ours, or the cascade has no tail from its cut
    """
    asked = pb.ModelInferRequest.FromString(data)
    header = parse_header(asked, tier.manifest)
    require_tail(tier.manifest, header.cut)
    message = pb.ModelInferRequest(model_name=tail_name(tier.manifest.name, header.cut), id=asked.id)
    for spec, shape in zip(tier.manifest.tensors_at(header.cut), header.shapes, strict=True):
        message.inputs.add(name=spec.name, datatype=DATATYPES[spec.dtype], shape=shape)
    if header.codec == "raw":
        message.raw_input_contents.extend(asked.raw_input_contents[position] for position in header.positions)
    else:
        message.raw_input_contents.extend(tensor.tobytes() for tensor in parse_tensors(asked, header, tier.manifest))
    trace = asked.parameters.get("traceparent")
    return PlainRequest(
        message,
        header.rows,
        tier.route(header.plan_id),
        header.deadline_s,
        "" if trace is None else trace.string_param,
    )


def split(asked: PlainRequest, most_rows: int = MOST_ROWS) -> list[PlainRequest]:
    """The request in parts of at most ``most_rows`` rows: model servers have a largest batch.

    Examples
    --------
    >>> message = pb.ModelInferRequest(raw_input_contents=[b"abcdef"])
    >>> _ = message.inputs.add(name="x", datatype="UINT8", shape=[3, 2])
    >>> parts = split(PlainRequest(message, 3, None, None), most_rows=2)
    >>> [(part.rows, part.message.raw_input_contents[0]) for part in parts]
    [(2, b'abcd'), (1, b'ef')]
    """
    if asked.rows <= most_rows:
        return [asked]
    parts = []
    for begin in range(0, asked.rows, most_rows):
        rows = min(most_rows, asked.rows - begin)
        message = pb.ModelInferRequest(model_name=asked.message.model_name, id=asked.message.id)
        for tensor, content in zip(asked.message.inputs, asked.message.raw_input_contents, strict=True):
            shape, row_bytes = (rows, *tensor.shape[1:]), len(content) // asked.rows
            message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=shape)
            message.raw_input_contents.append(content[begin * row_bytes : (begin + rows) * row_bytes])
        parts.append(replace(asked, message=message, rows=rows))
    return parts


def read_answer(
    replies: Sequence[pb.ModelInferResponse], parts: Sequence[PlainRequest], tier: Tier, address: str
) -> pb.ModelInferResponse:
    """A plain server's answers as one of a tier: the last exit has answered.

    ``logits`` are preferred, because they are divided by the plan's temperature here; else ``probabilities``
    are taken as they come.

    Parameters
    ----------
    replies, parts : the answers, and what was asked for each, in order

    Raises
    ------
    PeerRefused : there is neither, or not one row for each
    """
    found = [_probabilities(reply, part, tier, address) for reply, part in zip(replies, parts, strict=True)]
    probabilities = found[0] if len(found) == 1 else np.concatenate(found)
    count = len(probabilities)
    rows = Rows(
        probabilities.argmax(axis=1),
        probabilities.astype(np.float32, copy=False),
        probabilities.max(axis=1),
        np.full(count, len(tier.manifest.exit_segments) - 1, np.int64),
        [parts[0].route.plan.placement[-1]] * count,
        [""] * count,
    )
    return build_response(tier.manifest.name, parts[0].message.id, rows)


def _probabilities(reply: pb.ModelInferResponse, asked: PlainRequest, tier: Tier, address: str) -> NDArray[np.float32]:
    shape = asked.rows, tier.classes
    logits = _output(reply, LOGITS, shape)
    if logits is not None:
        scaled = logits / np.float32(asked.route.temperatures[-1])
        powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float32] | None = powers / powers.sum(axis=1, keepdims=True)
    else:
        probabilities = _output(reply, PROBABILITIES, shape)
    if probabilities is None:
        found = ", ".join(output.name[:40] for output in reply.outputs[:8]) or "none"
        raise PeerRefused(
            f"{address}: model {asked.message.model_name!r} must give {LOGITS!r} or {PROBABILITIES!r} as FP32 of "
            f"shape {shape}, but its outputs are {found}; 'offramp export' writes such models"
        )
    if not np.isfinite(probabilities).all():
        raise PeerRefused(f"{address}: model {asked.message.model_name!r} answered with NaN or infinity")
    return probabilities


def _output(reply: pb.ModelInferResponse, name: str, shape: tuple[int, int]) -> NDArray[np.float32] | None:
    """An output of that name, FP32 and of that shape, sent as raw bytes or value by value."""
    for index, output in enumerate(reply.outputs):
        if output.name != name or output.datatype != "FP32" or tuple(output.shape) != shape:
            continue
        if index < len(reply.raw_output_contents):
            data = reply.raw_output_contents[index]
            return np.frombuffer(data, "<f4").reshape(shape) if len(data) == 4 * shape[0] * shape[1] else None
        values = np.array(output.contents.fp32_contents, np.float32)
        return values.reshape(shape) if values.size == shape[0] * shape[1] else None
    return None
