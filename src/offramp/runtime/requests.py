"""Requests of the Open Inference Protocol, as tiers send and take them.

Everything that comes from a peer is checked (names, datatypes, shapes, byte counts, number of rows)
before a buffer is read. Nothing is ever unpickled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.manifest import Manifest, TensorSpec
from offramp.cascade.pace import Pace
from offramp.codecs.base import Codec
from offramp.errors import ConfigError, PayloadTooLarge, SampleError
from offramp.runtime.channel import MAX_MESSAGE_BYTES
from offramp.runtime.earlier import EARLIER_LABELS, add_labels, carries_labels, check_labels
from offramp.runtime.parameters import deadline_parameter, flag_parameter, integer_parameter, text_parameter
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.responses import OUTPUTS
from offramp.runtime.stamps import STAMPS
from offramp.runtime.status import UnknownModel
from offramp.runtime.tensors import DATATYPES, ON_THE_WIRE, check_shape, codec_named, require_finite, typed_contents

__all__ = ["MAX_ROWS", "MODEL_VERSION", "Header", "build_request", "parse_header", "parse_tensors"]

Array = NDArray[Any]

#: the most rows one request may hold
MAX_ROWS = 4096

#: the one version of the one model; a request may also leave it out
MODEL_VERSION = "1"

#: as fast as this machine
NATURAL = Pace()


@dataclass(frozen=True, slots=True)
class Header:
    """What a request asks for, its tensors checked but not read.

    ``cut`` is where the tier takes over, ``plan_id`` and ``deadline_s`` (remaining budget) may be
    missing. ``shapes`` are those of the tensors at the cut, in the manifest's order, found at
    ``positions`` among the request's inputs; ``outputs`` are the outputs asked for (empty: all).
    ``has_labels``: it brings what the exits before the cut answered. ``stamped``: the answer is to say when
    the tier did what.
    """

    cut: int
    plan_id: str | None
    deadline_s: float | None
    codec: str
    rows: int
    shapes: tuple[tuple[int, ...], ...]
    positions: tuple[int, ...]
    outputs: tuple[str, ...]
    has_labels: bool = False
    stamped: bool = False


def build_request(
    model: str,
    cut: int,
    plan_id: str,
    deadline_s: float | None,
    codec: Codec,
    specs: Sequence[TensorSpec],
    tensors: Sequence[Array],
    payloads: Sequence[bytes],
    earlier_labels: Array | None = None,
    stamped: bool = False,
) -> pb.ModelInferRequest:
    """A request for the next tier, without an id.

    Parameters
    ----------
    model : the cascade's name
    cut : where the next tier takes over
    plan_id : of the plan to follow
    deadline_s : remaining budget, or ``None``
    codec : what made ``payloads`` from ``tensors``
    specs : the tensors at the cut, as in the manifest
    earlier_labels : (e, n) what the exits before the cut answered, where a gate behind it asks for that
    stamped : ask every tier beyond for its `Stamps`
    """
    message = pb.ModelInferRequest(model_name=model, raw_input_contents=payloads)
    parameters = message.parameters
    parameters["segment"].int64_param = cut
    parameters["plan"].string_param = plan_id
    if deadline_s is not None:
        parameters["deadline_ms"].double_param = deadline_s * 1e3
    plain = codec.name == "raw"
    if not plain:
        parameters["codec"].string_param = codec.name
    for spec, tensor, payload in zip(specs, tensors, payloads, strict=True):
        if plain:
            message.inputs.add(name=spec.name, datatype=DATATYPES[spec.dtype], shape=tensor.shape)
            continue
        entry = message.inputs.add(name=spec.name, datatype="UINT8", shape=(len(payload),))
        entry.parameters["dtype"].string_param = spec.dtype
        entry.parameters["shape"].string_param = ",".join(map(str, tensor.shape))
    if earlier_labels is not None:
        add_labels(message, earlier_labels)
    if stamped:
        parameters[STAMPS].bool_param = True
    return message


def parse_header(message: pb.ModelInferRequest, manifest: Manifest) -> Header:
    """Check a request against the cascade, without reading its tensors.

    Raises
    ------
    UnknownModel : it names another model or version
    ConfigError : a parameter is of the wrong kind, or the codec is unknown
    SampleError : tensors other than those at the cut: names, datatypes, shapes or byte counts
    PayloadTooLarge : too many rows or bytes
    DeadlineExceeded : no time is left
    """
    if message.model_name != manifest.name:
        raise UnknownModel(f"no model {message.model_name[:80]!r} here; this server has {manifest.name!r}")
    if message.model_version not in ("", MODEL_VERSION):
        version = message.model_version[:20]
        raise UnknownModel(f"model {manifest.name!r} has no version {version!r}; it has {MODEL_VERSION!r}")
    cut = integer_parameter(message, "segment", 0)
    if not 0 <= cut < len(manifest.segments):
        raise SampleError(f"parameter segment must lie in 0..{len(manifest.segments) - 1}, not {cut}")
    codec = text_parameter(message, "codec", "raw")
    codec_named(codec)
    specs = manifest.tensors_at(cut)
    has_labels = carries_labels(message, specs)
    positions = _positions(message, specs, cut, has_labels)
    shapes = tuple(_shape(message, position, spec, codec) for position, spec in zip(positions, specs, strict=True))
    rows = {shape[0] for shape in shapes}
    if len(rows) != 1:
        raise SampleError(f"the tensors differ in their number of rows: {sorted(rows)}")
    if shapes[0][0] > MAX_ROWS:
        raise PayloadTooLarge(f"{shapes[0][0]} rows in one request, but at most {MAX_ROWS} are accepted; send fewer")
    if has_labels:
        check_labels(message, manifest, cut, shapes[0][0])
    deadline_s = deadline_parameter(message)
    outputs = tuple(output.name for output in message.outputs)
    if unknown := [name for name in outputs if name not in OUTPUTS]:
        raise ConfigError(f"unknown output {unknown[0][:80]!r}; there are {', '.join(OUTPUTS)}")
    plan_id = text_parameter(message, "plan", "") or None
    stamped = flag_parameter(message, STAMPS)
    return Header(cut, plan_id, deadline_s, codec, shapes[0][0], shapes, positions, outputs, has_labels, stamped)


def parse_tensors(
    message: pb.ModelInferRequest,
    header: Header,
    manifest: Manifest,
    pace: Pace = NATURAL,
    contents: Sequence[bytes | memoryview] = (),
) -> tuple[Array, ...]:
    """Read the tensors of a request whose header was checked, decoding at a tier's pace; possibly read-only views.

    ``contents`` are its raw contents where ``message`` does not hold them.

    Raises
    ------
    SampleError : damaged bytes, or floats that are not finite
    PayloadTooLarge : the codec would make more than it may
    """
    codec = codec_named(header.codec)
    plain = header.codec == "raw" and pace.slow_down == 1.0
    contents = contents or message.raw_input_contents
    tensors = []
    for spec, shape, position in zip(manifest.tensors_at(header.cut), header.shapes, header.positions, strict=True):
        if plain and spec.dtype != "bool" and contents:  # its byte count was checked
            tensor = np.frombuffer(contents[position], ON_THE_WIRE[spec.dtype]).reshape(shape)
        elif contents:
            tensor = pace.run(codec.decode, bytes(contents[position]), spec.dtype, shape)
        else:
            tensor = typed_contents(message.inputs[position], spec, shape)
        require_finite(spec.name, tensor)
        tensors.append(tensor)
    return tuple(tensors)


def _positions(
    message: pb.ModelInferRequest, specs: Sequence[TensorSpec], cut: int, has_labels: bool
) -> tuple[int, ...]:
    """Where each tensor of the cut is among the inputs."""
    found = {tensor.name: index for index, tensor in enumerate(message.inputs)}
    wanted = [spec.name for spec in specs]
    if has_labels:
        del found[EARLIER_LABELS]
    if len(message.inputs) != len(wanted) + has_labels or sorted(found) != sorted(wanted):
        names = [tensor.name[:40] for tensor in message.inputs[:8]]
        raise SampleError(f"at segment {cut} the inputs must be {wanted}, not {names}")
    if message.raw_input_contents and len(message.raw_input_contents) != len(message.inputs):
        raise SampleError(f"{len(message.raw_input_contents)} raw_input_contents for {len(message.inputs)} inputs")
    return tuple(found[name] for name in wanted)


def _shape(message: pb.ModelInferRequest, position: int, spec: TensorSpec, codec: str) -> tuple[int, ...]:
    """The checked shape of one tensor: datatype and byte count must fit it."""
    tensor = message.inputs[position]
    if codec == "raw":
        datatype, shape = tensor.datatype, tuple(tensor.shape)
    else:
        datatype, shape = _declared(message, position, spec)
    if datatype != DATATYPES[spec.dtype]:
        raise SampleError(f"tensor {spec.name!r} must be {DATATYPES[spec.dtype]}, not {datatype[:40]!r}")
    check_shape(spec, shape, MAX_MESSAGE_BYTES)
    if codec == "raw" and message.raw_input_contents:
        expected = math.prod(shape) * np.dtype(spec.dtype).itemsize
        given = len(message.raw_input_contents[position])
        if given != expected:
            raise SampleError(f"tensor {spec.name!r} of shape {shape} has {expected} bytes, but {given} were sent")
    return shape


def _declared(message: pb.ModelInferRequest, position: int, spec: TensorSpec) -> tuple[str, tuple[int, ...]]:
    """Datatype and shape of a tensor that a codec has packed into UINT8 [bytes]."""
    tensor = message.inputs[position]
    if not message.raw_input_contents:
        raise SampleError(f"tensor {spec.name!r}: encoded tensors must be sent in raw_input_contents")
    packed = len(message.raw_input_contents[position])
    if tensor.datatype != "UINT8" or tuple(tensor.shape) != (packed,):
        raise SampleError(f"tensor {spec.name!r}: encoded tensors must be UINT8 of shape [{packed}]")
    text = tensor.parameters["shape"].string_param if "shape" in tensor.parameters else ""
    dtype = tensor.parameters["dtype"].string_param if "dtype" in tensor.parameters else ""
    sizes = text.split(",")
    if len(sizes) > 16 or not all(s.isascii() and s.isdigit() and len(s) < 19 for s in sizes):
        raise SampleError(f"tensor {spec.name!r}: parameter shape must be like '2,16,8,8', not {text[:40]!r}")
    return DATATYPES.get(dtype, dtype), tuple(map(int, sizes))
