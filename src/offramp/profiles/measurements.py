"""Measurements that operator costs are fitted to."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from offramp.profiles.operators import Operator
from offramp.profiles.profile import Bytes, MachineInfo, Seconds, SegmentCost

__all__ = ["OPERATORS", "CascadeMeasurement", "CodecMeasurement", "SegmentMeasurement"]

#: what measurements of single operators are filed under
OPERATORS = "operators"


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SegmentMeasurement(_Value):
    """A segment as measured whole, without a profiler, and its operators as the profiler timed them.

    ``cpu_s`` is the median processor time of a typical row: what others on the machine take is not in it.
    """

    cost: SegmentCost
    cpu_s: Seconds
    operators: tuple[Operator, ...]


class CodecMeasurement(_Value):
    """Seconds a codec takes for the tensors at a cut."""

    codec: str
    tensor_bytes: Bytes
    payload_bytes: Bytes
    encode_s: Seconds
    decode_s: Seconds


class CascadeMeasurement(_Value):
    """All that was measured of one cascade, or of single operators, on one machine."""

    cascade: str
    cascade_fingerprint: str
    created_utc: str
    machine: MachineInfo
    hop_s: Seconds | None = None
    segments: Annotated[tuple[SegmentMeasurement, ...], Field(min_length=1)]
    codecs: tuple[CodecMeasurement, ...]

    @property
    def is_cascade(self) -> bool:
        """Whether it is of a cascade, not of single operators."""
        return self.cascade_fingerprint != OPERATORS
