"""A sample that could not be delivered, as it is kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from offramp.cascade.manifest import Manifest
from offramp.errors import ConfigError, DataError
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.requests import build_request, parse_header, parse_tensors
from offramp.runtime.spool import read_spool
from offramp.runtime.tensors import codec_named

__all__ = ["SpooledSample", "read_samples"]

Array = NDArray[Any]


@dataclass(frozen=True, eq=False)
class SpooledSample:
    """What was asked, and what the device answered for want of better.

    ``inputs`` are one row each. ``reason`` is that of the degraded answer, ``label``, ``confidence`` and
    ``exit`` are the answer's; ``plan_id`` names the plan followed, ``time_s`` is when, in seconds since 1970.
    """

    inputs: tuple[Array, ...]
    reason: str
    label: int
    confidence: float
    exit: int
    plan_id: str
    time_s: float

    def to_message(self, manifest: Manifest) -> pb.ModelInferRequest:
        """An ordinary request from the first cut on, which any tier can answer; the rest in parameters of ours."""
        raw = codec_named("raw")
        payloads = [raw.encode(array) for array in self.inputs]
        message = build_request(manifest.name, 0, "", None, raw, manifest.tensors_at(0), self.inputs, payloads)
        del message.parameters["plan"]  # of the plans there will be then, the server's first
        parameters = message.parameters
        parameters["spool.reason"].string_param = self.reason
        parameters["spool.plan"].string_param = self.plan_id
        parameters["spool.label"].int64_param = self.label
        parameters["spool.exit"].int64_param = self.exit
        parameters["spool.confidence"].double_param = self.confidence
        parameters["spool.time_s"].double_param = self.time_s
        return message

    @classmethod
    def from_message(cls, message: pb.ModelInferRequest, manifest: Manifest) -> SpooledSample:
        """Read it back.

        Raises
        ------
        ConfigError, SampleError : it is of another cascade
        """
        header = parse_header(message, manifest)
        found = message.parameters
        return cls(
            parse_tensors(message, header, manifest),
            found["spool.reason"].string_param,
            found["spool.label"].int64_param,
            found["spool.confidence"].double_param,
            found["spool.exit"].int64_param,
            found["spool.plan"].string_param,
            found["spool.time_s"].double_param,
        )


def read_samples(folder: str | Path, manifest: Manifest) -> Sequence[SpooledSample]:
    """The samples that wait in a spool nobody uses right now, oldest first, for example to label them.

    Raises
    ------
    ConfigError : there is no such folder, or a sample is of another cascade
    DataError : a record is none of ours
    """
    samples = []
    for number, payload in enumerate(read_spool(folder)):
        try:
            message = pb.ModelInferRequest.FromString(payload)
            samples.append(SpooledSample.from_message(message, manifest))
        except (ConfigError, DecodeError) as error:
            raise DataError(f"{folder}: record {number} is no sample of {manifest.name!r} ({error})") from error
    return samples
