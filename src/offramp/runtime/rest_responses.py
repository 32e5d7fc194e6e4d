"""Responses over REST: the same that gRPC gives, as JSON or as JSON with binary tensors behind it."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any, NamedTuple

import numpy as np

from offramp.errors import PayloadTooLarge, PeerRefused
from offramp.runtime.description import NotOffered
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.requests import MODEL_VERSION
from offramp.runtime.status import status_of
from offramp.runtime.tensors import DATATYPES, decode_bytes_rows

__all__ = ["HEADER_LENGTH", "RestResponse", "build_rest", "http_status_of", "metadata_json"]

#: name of the header that says how much of a body is JSON
HEADER_LENGTH = "Inference-Header-Content-Length"

_DTYPES = {datatype: np.dtype(dtype).newbyteorder("<") for dtype, datatype in DATATYPES.items()}

#: gRPC status -> HTTP status
_HTTP = {
    "INVALID_ARGUMENT": 400,
    "FAILED_PRECONDITION": 400,
    "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403,
    "NOT_FOUND": 404,
    "RESOURCE_EXHAUSTED": 429,
    "UNIMPLEMENTED": 501,
    "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}


class RestResponse(NamedTuple):
    """Body and headers."""

    body: bytes
    headers: dict[str, str]


def http_status_of(error: Exception) -> int:
    """The HTTP status a client sees.

    Examples
    --------
    >>> http_status_of(PayloadTooLarge("9 GB")), http_status_of(PeerRefused("no")), http_status_of(KeyError())
    (413, 502, 500)
    """
    if isinstance(error, PayloadTooLarge):
        return 413
    if isinstance(error, PeerRefused):
        return 502
    if isinstance(error, NotOffered):
        return 501
    return _HTTP.get(status_of(error).name, 500)


def build_rest(message: pb.ModelInferResponse, binary: Collection[str] | None) -> RestResponse:
    """A response as REST has it.

    Parameters
    ----------
    message : as gRPC would send it
    binary : names of the outputs that follow the JSON as raw bytes; ``None``: all

    Examples
    --------
    >>> message = pb.ModelInferResponse(model_name="tiny", raw_output_contents=[b"\\x02" + bytes(7)])
    >>> _ = message.outputs.add(name="label", datatype="INT64", shape=[1])
    >>> json.loads(build_rest(message, ()).body)["outputs"]
    [{'name': 'label', 'datatype': 'INT64', 'shape': [1], 'data': [2]}]
    """
    document: dict[str, Any] = {"model_name": message.model_name, "model_version": MODEL_VERSION}
    if message.id:
        document["id"] = message.id
    if message.parameters:
        document["parameters"] = {name: _value(parameter) for name, parameter in message.parameters.items()}
    outputs, behind = [], []
    for output, content in zip(message.outputs, message.raw_output_contents, strict=True):
        entry: dict[str, Any] = {"name": output.name, "datatype": output.datatype, "shape": list(output.shape)}
        if binary is None or output.name in binary:
            entry["parameters"] = {"binary_data_size": len(content)}
            behind.append(content)
        elif output.datatype == "BYTES":
            entry["data"] = decode_bytes_rows(content, output.shape[0])
        else:
            entry["data"] = np.frombuffer(content, _DTYPES[output.datatype]).tolist()
        outputs.append(entry)
    document["outputs"] = outputs
    head = json.dumps(document, separators=(",", ":")).encode()
    if not behind:
        return RestResponse(head, {"Content-Type": "application/json"})
    headers = {"Content-Type": "application/octet-stream", HEADER_LENGTH: str(len(head))}
    return RestResponse(b"".join([head, *behind]), headers)


def metadata_json(message: pb.ModelMetadataResponse) -> dict[str, Any]:
    """The metadata of a model as REST has it."""

    def tensors(found: Any) -> list[dict[str, Any]]:
        return [{"name": t.name, "datatype": t.datatype, "shape": list(t.shape)} for t in found]

    return {
        "name": message.name,
        "versions": list(message.versions),
        "platform": message.platform,
        "inputs": tensors(message.inputs),
        "outputs": tensors(message.outputs),
    }


def _value(parameter: pb.InferParameter) -> Any:
    kind = parameter.WhichOneof("parameter_choice")
    return None if kind is None else getattr(parameter, kind)
