"""Inference requests over REST: JSON, or JSON with binary tensors behind it, as the same request gRPC brings."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.errors import ConfigError, PayloadTooLarge, SampleError
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.tensors import DATATYPES

__all__ = ["MAX_JSON_BYTES", "RestRequest", "parse_rest"]

#: JSON is read in the event loop, 15 ms for each megabyte: more than this must come as binary tensors
MAX_JSON_BYTES = 2 * 1024 * 1024
#: the most inputs, outputs or parameters one request may list
MAX_ENTRIES = 64

_DTYPES = {datatype: np.dtype(dtype).newbyteorder("<") for dtype, datatype in DATATYPES.items()}
_NOT_HERE = ("classification", "shared_memory_region", "sequence_id")


@dataclass(frozen=True, slots=True)
class RestRequest:
    """A request as gRPC would have brought it; ``binary``: the outputs to answer in binary, ``None`` all of them."""

    message: pb.ModelInferRequest
    binary: frozenset[str] | None


def parse_rest(body: bytes, json_bytes: int | None, model: str, version: str = "") -> RestRequest:
    """Read the body of an inference request.

    Parameters
    ----------
    body : JSON, and what follows it
    json_bytes : how much of it is JSON (``Inference-Header-Content-Length``); ``None``: all of it
    model, version : from the path

    Raises
    ------
    ConfigError : no JSON, or a field of the wrong kind
    SampleError : values that are no tensor of the stated shape and datatype
    PayloadTooLarge : more JSON than is read

    Examples
    --------
    >>> body = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 2], "data": [0.5, 1]}]}'
    >>> request = parse_rest(body, None, "tiny")
    >>> np.frombuffer(request.message.raw_input_contents[0], "<f4").tolist(), request.binary
    ([0.5, 1.0], frozenset())
    """
    end = len(body) if json_bytes is None else json_bytes
    if not 0 <= end <= len(body):
        raise ConfigError(f"Inference-Header-Content-Length is {end}, but the body has {len(body)} bytes")
    document = _document(body[:end])
    message = pb.ModelInferRequest(model_name=model, model_version=version, id=_text(document, "id", "the request"))
    parameters = _mapping(document, "parameters", "the request")
    default = _flag(parameters, "binary_data_output", "the request")
    _add_parameters(message.parameters, parameters, "the request", leave=("binary_data_output",))
    rest = memoryview(body)[end:]
    for entry in _entries(document, "inputs"):
        rest = _add_input(message, entry, rest)
    if len(rest):
        raise ConfigError(f"{len(rest)} bytes are left behind the binary tensors; check binary_data_size")
    return RestRequest(message, _add_outputs(message, document, default))


def _document(text: bytes) -> dict[str, Any]:
    if len(text) > MAX_JSON_BYTES:
        raise PayloadTooLarge(
            f"{len(text)} bytes of JSON, but at most {MAX_JSON_BYTES} are read; send the tensors in binary"
        )
    try:
        document = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"the request is not valid JSON: {str(error)[:120]}") from error
    if not isinstance(document, dict):
        raise ConfigError("the request must be a JSON object with 'inputs'")
    return document


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON; send finite values only")


def _entries(document: Mapping[str, Any], key: str) -> list[dict[str, Any]]:
    """A list of objects, each with a name; none where it is not given."""
    found = document.get(key, [])
    if not isinstance(found, list) or len(found) > MAX_ENTRIES:
        raise ConfigError(f"{key!r} must be a list of at most {MAX_ENTRIES} objects")
    for entry in found:
        if not (isinstance(entry, dict) and isinstance(entry.get("name"), str)):
            raise ConfigError(f"every entry of {key!r} must be an object with a 'name'")
    return found


def _add_input(message: pb.ModelInferRequest, entry: Mapping[str, Any], rest: memoryview) -> memoryview:
    """Append one tensor, its bytes taken from JSON or from ``rest``; what is left of that."""
    where = f"tensor {entry['name'][:40]!r}"
    shape, datatype = entry.get("shape"), _text(entry, "datatype", where)
    if not (isinstance(shape, list) and len(shape) <= 16 and all(type(size) is int for size in shape)):
        raise ConfigError(f"{where}: shape must be a list of whole numbers")
    if not all(0 <= size < 2**62 for size in shape):
        raise SampleError(f"{where}: shape must hold sizes of zero and more, not {shape}")
    parameters = _mapping(entry, "parameters", where)
    size = parameters.get("binary_data_size")
    if size is None:
        if "data" not in entry:
            raise ConfigError(f"{where} has neither 'data' nor the parameter binary_data_size")
        content = _values(entry["data"], datatype, shape, where).tobytes()
    else:
        if "data" in entry or type(size) is not int or not 0 <= size <= len(rest):
            raise ConfigError(
                f"{where}: binary_data_size must be the number of its bytes behind the JSON, of which {len(rest)} "
                f"are left, and there must be no 'data'; it is {str(size)[:40]}"
            )
        content, rest = bytes(rest[:size]), rest[size:]
    tensor = message.inputs.add(name=entry["name"], datatype=datatype, shape=shape)
    _add_parameters(tensor.parameters, parameters, where, leave=("binary_data_size",))
    message.raw_input_contents.append(content)
    return rest


def _values(data: Any, datatype: str, shape: list[int], where: str) -> NDArray[Any]:
    """Flat or nested values as an array of the datatype."""
    dtype = _DTYPES.get(datatype)
    if dtype is None:
        raise SampleError(f"{where}: datatype must be one of {', '.join(_DTYPES)}, not {datatype[:40]!r}")
    try:
        array = np.asarray(data)
    except (ValueError, RecursionError) as error:
        raise SampleError(f"{where}: data must be a flat list, or lists nested as the shape says") from error
    accepted = {"f": "fiu", "b": "b"}.get(dtype.kind, "iu")
    if array.size and array.dtype.kind not in accepted:
        raise SampleError(f"{where}: data must hold {datatype} values only")
    if array.size != math.prod(shape) or (array.ndim != 1 and list(array.shape) != shape):
        raise SampleError(
            f"{where} of shape {shape} needs {math.prod(shape)} values, not {array.size} in lists of {array.shape}"
        )
    if dtype.kind in "iu" and array.size:
        limits = np.iinfo(dtype)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise SampleError(f"{where}: data holds values outside of {datatype}")
    with np.errstate(over="ignore"):  # infinity is refused with the other tensors
        return array.astype(dtype)


def _add_outputs(message: pb.ModelInferRequest, document: Mapping[str, Any], default: bool) -> frozenset[str] | None:
    """The outputs asked for, and which of them in binary."""
    entries = _entries(document, "outputs")
    binary = set()
    for entry in entries:
        where = f"output {entry['name'][:40]!r}"
        parameters = _mapping(entry, "parameters", where)
        output = message.outputs.add(name=entry["name"])
        if _flag(parameters, "binary_data", where, default):
            binary.add(entry["name"])
        _add_parameters(output.parameters, parameters, where, leave=("binary_data",))
    return None if default and not entries else frozenset(binary)


def _add_parameters(target: Any, parameters: Mapping[str, Any], where: str, leave: tuple[str, ...]) -> None:
    if len(parameters) > MAX_ENTRIES:
        raise ConfigError(f"{where} may have {MAX_ENTRIES} parameters, not {len(parameters)}")
    for name, value in parameters.items():
        if name in leave:
            continue
        if name in _NOT_HERE:
            raise ConfigError(f"{where}: the extension behind the parameter {name!r} is not offered here")
        if isinstance(value, bool):
            target[name].bool_param = value
        elif isinstance(value, str):
            target[name].string_param = value
        elif isinstance(value, float):
            target[name].double_param = value
        elif isinstance(value, int) and -(2**63) <= value < 2**63:
            target[name].int64_param = value
        else:
            raise ConfigError(f"{where}: parameter {name[:40]!r} must be a number, a string, true or false")


def _mapping(entry: Mapping[str, Any], key: str, where: str) -> dict[str, Any]:
    found = entry.get(key, {})
    if not isinstance(found, dict):
        raise ConfigError(f"{where}: {key!r} must be an object")
    return found


def _text(entry: Mapping[str, Any], key: str, where: str) -> str:
    found = entry.get(key, "")
    if not isinstance(found, str):
        raise ConfigError(f"{where}: {key!r} must be a string")
    return found


def _flag(parameters: Mapping[str, Any], name: str, where: str, default: bool = False) -> bool:
    found = parameters.get(name, default)
    if not isinstance(found, bool):
        raise ConfigError(f"{where}: parameter {name} must be true or false")
    return found
