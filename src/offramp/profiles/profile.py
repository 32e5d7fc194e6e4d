"""A tier's costs: seconds per segment, bytes per cut and codec, seconds per message."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from offramp.cascade.store import write_text_atomic
from offramp.errors import RecordMismatch
from offramp.files import read_model

__all__ = ["MachineInfo", "PayloadCost", "Profile", "SegmentCost", "TransportCost", "load_profile"]

Seconds = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Bytes = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MachineInfo(_Value):
    """Kind of machine and versions a profile was taken with."""

    cpu: str
    cores: int
    system: str
    versions: dict[str, str]


class SegmentCost(_Value):
    """Seconds one segment takes for ``batch`` rows at once.

    ``macs`` are the multiply-accumulates of one row (of texts, of a typical one), ``model_bytes`` the size of the
    segment's file, which is that of its weights and a little more; ``None`` where unknown. ``low_bit_macs`` of them
    are of ``bits`` bits, in a segment trained that way. ``repeats`` is 0 where nothing was timed: a modelled cost.
    """

    segment: int
    precision: str = "fp32"
    batch: int = 1
    median_s: Seconds
    mean_s: Seconds
    p95_s: Seconds
    repeats: int
    macs: Annotated[int, Field(ge=0)] | None = None
    model_bytes: Annotated[int, Field(ge=0)] | None = None
    low_bit_macs: Annotated[int, Field(ge=0)] = 0
    bits: Annotated[int, Field(ge=1)] | None = None


class PayloadCost(_Value):
    """What sending the tensors at a cut costs: ``cut`` 0 is the input, ``i`` the hand-over of segment i - 1."""

    cut: int
    codec: str
    payload_bytes: Bytes
    encode_s: Seconds
    decode_s: Seconds


class TransportCost(_Value):
    """What one offload costs beside payload and link: ``hop_s`` seconds of protocol work there and
    back, ``request_overhead_bytes`` and ``answer_bytes`` on the wire."""

    hop_s: Seconds
    request_overhead_bytes: Bytes
    answer_bytes: Bytes


class Profile(_Value):
    """The costs of one tier for one cascade.

    ``exit_segments`` is the segment every exit ends, as in the manifest; empty: one at every segment.
    ``pinned_cpu`` is the only processor the measuring process could use, ``None`` where it was free to move.
    """

    schema_version: Literal[1] = 1
    cascade: str
    cascade_fingerprint: str
    tier: str
    slow_down: Annotated[float, Field(ge=1)]
    how: Literal["measured", "modelled"]
    created_utc: str
    machine: MachineInfo
    pinned_cpu: Annotated[int, Field(ge=0)] | None = None
    exit_segments: tuple[int, ...] = ()
    segments: tuple[SegmentCost, ...]
    payloads: tuple[PayloadCost, ...]
    transport: TransportCost

    def require(self, fingerprint: str) -> None:
        """Refuse a profile of another cascade.

        Raises
        ------
        RecordMismatch : the fingerprints differ
        """
        if self.cascade_fingerprint != fingerprint:
            raise RecordMismatch(
                f"the profile of tier {self.tier!r} was measured on another build of {self.cascade!r} "
                f"(fingerprint {self.cascade_fingerprint[:12]}, the cascade has {fingerprint[:12]}); "
                "run 'offramp profile' again"
            )

    def payload(self, cut: int, codec: str) -> PayloadCost:
        """The payload cost at a cut.

        Raises
        ------
        RecordMismatch : it was not measured
        """
        for cost in self.payloads:
            if cost.cut == cut and cost.codec == codec:
                return cost
        raise RecordMismatch(f"the profile of tier {self.tier!r} has no payload for cut {cut} and codec {codec!r}")

    @property
    def codecs(self) -> tuple[str, ...]:
        """Codecs measured at every cut."""
        cuts = {cost.cut for cost in self.payloads}
        named = dict.fromkeys(cost.codec for cost in self.payloads)
        return tuple(name for name in named if all(name in self.codecs_at(cut) for cut in cuts))

    def codecs_at(self, cut: int) -> tuple[str, ...]:
        """Codecs measured at one cut: some, such as those for pictures, hold the tensors of a few cuts only."""
        return tuple(dict.fromkeys(cost.codec for cost in self.payloads if cost.cut == cut))

    def to_json(self) -> str:
        """The text of a profile file."""
        return json.dumps(self.model_dump(mode="json"), indent=2) + "\n"

    def save(self, path: str | Path) -> None:
        """Write the profile file, atomically."""
        write_text_atomic(Path(path), self.to_json())


def load_profile(path: str | Path) -> Profile:
    """Read a profile file.

    Raises
    ------
    ConfigError : missing, damaged, negative or NaN costs, or of a newer version
    """
    missing = "no such profile; 'offramp profile CASCADE --tier NAME' makes one"
    return read_model(Profile, path, missing=missing, again="run 'offramp profile' again")
