"""``cascade.json``: what a cascade folder says about itself."""

from __future__ import annotations

import hashlib
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = [
    "SCHEMA_VERSION",
    "Calibration",
    "DType",
    "DataSpec",
    "ExitSpec",
    "KernelSpec",
    "LowBitSpec",
    "Manifest",
    "Provenance",
    "SegmentSpec",
    "TensorSpec",
    "TokenizerSpec",
    "VariantSpec",
]

SCHEMA_VERSION = 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
DType = Literal["float32", "float16", "uint8", "int8", "int32", "int64", "bool"]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]+$")]


class _Value(BaseModel):
    """Frozen, strict, and without unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TensorSpec(_Value):
    """Name, dtype and shape of a tensor; ``None`` marks a dynamic dimension, the first is the batch."""

    name: str
    dtype: DType
    shape: tuple[int | None, ...]

    @property
    def row_shape(self) -> tuple[int | None, ...]:
        """The shape of one row: all but the batch dimension."""
        return self.shape[1:]


class ExitSpec(_Value):
    """A classifier head at the end of a segment; ``module`` is the path it was attached at."""

    name: str
    module: str


class VariantSpec(_Value):
    """The same segment in another precision: its own file, the same inputs and outputs."""

    precision: Literal["int8"]
    file: FileName
    sha256: Sha256
    file_bytes: Annotated[int, Field(ge=0)]


class KernelSpec(_Value):
    """The same segment as a file for the packed kernels, see `offramp.cascade.kernels`."""

    file: FileName
    sha256: Sha256
    file_bytes: Annotated[int, Field(ge=0)]


class LowBitSpec(_Value):
    """Convolutions of a few bits inside a segment.

    ``macs`` are their multiply-accumulates for one row and ``weights`` their number; the file stores each weight in
    ``weight_bits`` bits, in ``layout``, see `offramp.cascade.packed`. Where ``hand_over_bits`` is set, what the segment
    hands over has that many bits a value, and codec ``palette`` sends no more. ``kernel`` is there where the packed
    kernels can run it.
    """

    weight_bits: Literal[1, 2, 4, 8]
    activation_bits: Literal[1, 2, 4, 8]
    macs: Annotated[int, Field(ge=0)]
    weights: Annotated[int, Field(ge=0)]
    layout: Literal["bits-1"] = "bits-1"
    hand_over_bits: Literal[1, 2, 4, 8] | None = None
    kernel: KernelSpec | None = None

    @property
    def bits(self) -> int:
        """Of a multiplication: the larger of its two sides."""
        return max(self.weight_bits, self.activation_bits)


class SegmentSpec(_Value):
    """One ONNX file of the cascade.

    ``hand_over`` says what it passes on: ``features`` (its ``outputs``) or ``input`` (the next
    segment starts again from the sample). ``variants`` are the same segment in other precisions.
    ``low_bit`` is there where it was trained with a few bits.
    """

    file: FileName
    sha256: Sha256
    file_bytes: Annotated[int, Field(ge=0)]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    hand_over: Literal["features", "input"] = "features"
    exit: ExitSpec | None
    flops: Annotated[int, Field(ge=0)] | None = None
    variants: tuple[VariantSpec, ...] = ()
    low_bit: LowBitSpec | None = None

    def variant(self, precision: str) -> VariantSpec | None:
        """The variant of that precision, if there is one."""
        return next((v for v in self.variants if v.precision == precision), None)


class TokenizerSpec(_Value):
    """How text becomes the cascade's inputs: a ``tokenizer.json`` of the package ``tokenizers``.

    ``max_length`` counts the special tokens too; ``pad_id`` fills rows up to the batch's longest.
    """

    file: FileName
    sha256: Sha256
    file_bytes: Annotated[int, Field(ge=0)]
    max_length: Annotated[int, Field(ge=2)]
    pad_id: Annotated[int, Field(ge=0)] = 0


class Calibration(_Value):
    """Temperature of every exit, and how it was fitted; 1.0 means as trained."""

    method: str = "none"
    temperatures: tuple[Annotated[float, Field(gt=0)], ...]
    fitted_on: str = ""


class DataSpec(_Value):
    """The data a cascade was built on, and the one split of its rows."""

    name: str
    sha256: Sha256
    split_seed: int
    tune: Annotated[float, Field(ge=0)]
    calibrate: Annotated[float, Field(ge=0)]
    test: Annotated[float, Field(ge=0)]


class Provenance(_Value):
    """How the cascade came to be."""

    created_utc: str
    command: str
    seed: int | None = None
    commit: str | None = None
    versions: dict[str, str] = {}
    notes: str = ""


class Manifest(_Value):
    """All that ``cascade.json`` holds.

    ``sha256`` covers the whole file; `fingerprint` covers segments, labels and tokenizer alone, without
    variants, so that calibrating a cascade or adding an int8 variant does not orphan its records,
    profiles and plans. A cascade with a ``tokenizer`` reads text: its inputs are ids, mask and, for two
    texts, types, each (rows, length) int64.
    """

    schema_version: Literal[1] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    task: Literal["classification"] = "classification"
    labels: tuple[str, ...]
    inputs: tuple[TensorSpec, ...]
    preprocessing: str = ""
    tokenizer: TokenizerSpec | None = None
    segments: Annotated[tuple[SegmentSpec, ...], Field(min_length=1)]
    calibration: Calibration
    data: DataSpec | None = None
    provenance: Provenance

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        if self.segments[-1].exit is None:
            raise ValueError("the last segment must end in an exit")
        if len(self.labels) < 2:
            raise ValueError(f"a classifier needs at least 2 labels, not {len(self.labels)}")
        if len(self.calibration.temperatures) != len(self.exit_segments):
            raise ValueError(f"{len(self.calibration.temperatures)} temperatures for {len(self.exit_segments)} exits")
        files = [file for segment in self.segments for file in (segment.file, *(v.file for v in segment.variants))]
        files += [
            segment.low_bit.kernel.file for segment in self.segments if segment.low_bit and segment.low_bit.kernel
        ]
        if len(set(files)) != len(files):
            raise ValueError("two segments share a file")
        if self.tokenizer is not None and len(self.inputs) not in (2, 3):
            raise ValueError(f"a tokenizer gives 2 or 3 inputs (ids, mask, types), not {len(self.inputs)}")
        expected = self.inputs
        for index, segment in enumerate(self.segments):
            if [t.name for t in segment.inputs] != [t.name for t in expected]:
                raise ValueError(
                    f"segment {index} takes {[t.name for t in segment.inputs]}, "
                    f"but is handed {[t.name for t in expected]}"
                )
            expected = self.inputs if segment.hand_over == "input" else segment.outputs
        return self

    @property
    def exit_segments(self) -> tuple[int, ...]:
        """Segment index of every exit, in order."""
        return tuple(i for i, segment in enumerate(self.segments) if segment.exit is not None)

    @property
    def exit_names(self) -> tuple[str, ...]:
        """Name of every exit, in order."""
        return tuple(segment.exit.name for segment in self.segments if segment.exit is not None)

    @property
    def fingerprint(self) -> str:
        """sha256 over segments, labels and tokenizer: what records, profiles and plans refer to."""
        body: dict[str, Any] = {
            "segments": [s.model_dump(mode="json", exclude=_beside(s)) for s in self.segments],
            "labels": list(self.labels),
        }
        if self.tokenizer is not None:
            body["tokenizer"] = self.tokenizer.model_dump(mode="json")
        return hashlib.sha256(_canonical(body)).hexdigest()

    def tensors_at(self, cut: int) -> tuple[TensorSpec, ...]:
        """The tensors crossing cut ``cut``: 0 is the input, ``i`` what segment ``i - 1`` hands over."""
        if cut == 0 or self.segments[cut - 1].hand_over == "input":
            return self.inputs
        return self.segments[cut - 1].outputs

    def to_json(self) -> str:
        """The text of ``cascade.json``, with a sha256 over everything else in it."""
        body = self.model_dump(mode="json")
        return json.dumps({"sha256": hashlib.sha256(_canonical(body)).hexdigest(), **body}, indent=2) + "\n"

    @classmethod
    def digest_of(cls, body: dict[str, Any]) -> str:
        """The sha256 a parsed ``cascade.json`` (without its own ``sha256``) must carry."""
        return hashlib.sha256(_canonical(body)).hexdigest()


def _beside(segment: SegmentSpec) -> set[str]:
    """What a fingerprint leaves out: variants, and ``low_bit`` where there is none, as before there was such a key."""
    return {"variants"} if segment.low_bit is not None else {"variants", "low_bit"}


def _canonical(body: dict[str, Any]) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()
