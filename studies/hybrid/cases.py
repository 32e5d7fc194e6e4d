"""The hybrids of the study: their records, their costs, and the network of full precision they are held against."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.manifest import Manifest
from offramp.confidence.scores import softmax
from offramp.confidence.temperature import fit_temperature
from offramp.errors import RecordMismatch
from offramp.profiles.energy import EnergyModel
from offramp.records.records import Records, load_records

__all__ = ["CASES", "Case", "CaseSpec", "load_case"]

EXAMPLES = Path(__file__).parents[2] / "examples"
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CaseSpec:
    """Folder of a hybrid, folder of its twin of full precision and that one's multiply-accumulates without early exits.

    ``share`` and ``ratio`` are the published share of rows that end at the edge and how much less energy that takes;
    the aims are ours. Off ``published`` they are those of another case, to compare with.
    """

    name: str
    twin: str
    twin_macs: int
    share: float
    ratio: float
    share_aim: float
    ratio_aim: float
    published: bool = True


#: stem, three stacks with two projections, classifier
RESNET20_MACS, RESNET32_MACS = 40_813_184, 69_130_496
CASES = (
    CaseSpec("hybrid-1bit-cifar10", "resnet20", RESNET20_MACS, 0.65, 5.5, 0.75, 7.0),
    CaseSpec("hybrid-2bit-cifar10", "resnet20", RESNET20_MACS, 0.65, 5.5, 0.75, 7.0, published=False),
    CaseSpec("hybrid-4bit-cifar10", "resnet20", RESNET20_MACS, 0.65, 5.5, 0.75, 7.0, published=False),
    CaseSpec("hybrid-4bit-cifar100", "resnet32-cifar100", RESNET32_MACS, 0.52, 4.8, 0.60, 6.0),
)


@dataclass(frozen=True)
class Case:
    """A hybrid whose records and manifest are there.

    Parameters
    ----------
    records, twin : of the hybrid and of the network of full precision, on the same test rows
    """

    spec: CaseSpec
    manifest: Manifest
    records: Records
    twin: Records

    @cached_property
    def temperatures(self) -> list[float]:
        """(E,) fitted on the tune rows."""
        tune = self.records.on("tune")
        return [fit_temperature(logits, tune.labels) for logits in tune.logits]

    def probabilities(self, split: str, calibrated: bool = True) -> Floats:
        """(E, n, K)."""
        rows = self.records.on(split)
        temperatures = self.temperatures if calibrated else [1.0] * rows.exits
        return np.stack([softmax(z, t) for z, t in zip(rows.logits, temperatures, strict=True)])

    @property
    def twin_accuracy(self) -> float:
        """Of the last exit of the network of full precision, on the test rows."""
        return float(self.twin.on("test").correct[-1].mean())

    def compute_energy_j(self, model: EnergyModel, memory: bool = False) -> Floats:
        """(E,) joules of a row by the exit it leaves by: multiply-accumulates, with ``memory`` also reading weights."""
        joules = []
        for segment in self.manifest.segments:
            macs, low = (segment.flops or 0) // 2, segment.low_bit
            of_segment = model.j_per_mac["fp32"] * (macs - (0 if low is None else low.macs))
            if low is not None:
                of_segment += model.j_per_mac[f"{low.bits}bit"] * low.macs
            joules.append(of_segment + (model.j_per_byte * segment.file_bytes if memory else 0.0))
        return np.cumsum(joules)

    def twin_energy_j(self, model: EnergyModel) -> float:
        """Joules of a row through the network of full precision, multiply-accumulates alone."""
        return model.j_per_mac["fp32"] * self.spec.twin_macs

    def payload_bytes(self) -> dict[str, float]:
        """Bytes of a row's hand-over behind the edge: as float32, as uint8 with its range, at its true bits."""
        last = self.manifest.segments[-2]
        values = math.prod(size or 1 for tensor in last.outputs for size in tensor.row_shape)
        bits = None if last.low_bit is None else last.low_bit.hand_over_bits
        found = {"fp32": 4.0 * values, "uint8": values + 8.0}
        if bits is not None:
            found["true bits"] = 2 + 4 * 2**bits + values * bits / 8
        return found


def load_case(spec: CaseSpec, folder: Path = EXAMPLES) -> Case | None:
    """The case, or ``None`` where its records, its ``cascade.json`` or its twin's records are missing.

    Raises
    ------
    RecordMismatch : the records are of another build, or of other rows than the twin's
    """
    home = folder / spec.name
    files = [home / "cascade.json", home / "records" / "fp32.parquet", folder / spec.twin / "records" / "fp32.parquet"]
    if not all(file.is_file() for file in files):
        return None
    body = json.loads(files[0].read_text())
    body.pop("sha256", None)
    manifest, records, twin = Manifest.model_validate(body), load_records(files[1]), load_records(files[2])
    records.require(manifest.fingerprint)
    if not np.array_equal(np.sort(records.on("test").row), np.sort(twin.on("test").row)):
        raise RecordMismatch(f"{spec.name} and {spec.twin} were not tested on the same rows; record them again")
    return Case(spec, manifest, records, twin)
