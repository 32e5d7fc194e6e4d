"""A cascade on clean and shifted CIFAR-10: streams of every level, and what its exits cost."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.served import served_probabilities
from offramp.confidence.temperature import fit_temperature
from offramp.errors import RecordMismatch
from offramp.policies.stream import Stream
from offramp.records.records import Records, load_records
from studies.shift.deciders import fit_deciders
from studies.shift.evidence import CASES, EXAMPLES, Case, load_case
from studies.shift.spectra import LEVELS, Spectra

__all__ = ["NETWORK_COST", "OFFLOAD_COST", "ImageCase", "load_image_cases"]

#: as released: 0.1 a layer, exits behind every third of 18 layers; offloading 0.5
NETWORK_COST, OFFLOAD_COST = 1.8, 0.5
EXPERTS = "experts per level + none of these"


@dataclass(frozen=True)
class ImageCase:
    """A cascade: the exits of the device, then the last one.

    Parameters
    ----------
    name : of the case
    streams : by level, the same rows in the same order, the level's number as their context
    experts : by level, (E - 1, n) confidence of the device exits that experts per level give
    layer_costs : (E,) of computing up to each exit, in mistakes
    """

    name: str
    streams: dict[str, Stream]
    experts: Mapping[str, NDArray[np.floating]]
    layer_costs: tuple[float, ...]


def load_image_cases(examples: Path = EXAMPLES) -> Iterator[ImageCase | str]:
    """Every case of the study of shift, or why it is left out."""
    for case in CASES:
        needed = [_file(examples, name, level) for name in _names(case) for level in LEVELS]
        absent = [file for file in needed if not file.is_file()]
        if absent:
            yield f"{case.name} (no {absent[0].relative_to(examples)})"
            continue
        try:
            found: ImageCase | str = _load(case, examples)
        except RecordMismatch as error:  # of another build, until it is recorded again
            found = f"{case.name} ({error})"
        yield found


def _load(case: Case, examples: Path) -> ImageCase:
    spectra = Spectra()
    evidence = load_case(case, examples, spectra)
    confidence = fit_deciders(evidence.tune)[EXPERTS]
    parts = [(name, load_records(_file(examples, name, "none"))) for name in _names(case)]
    tunes = [records.on("tune") for _, records in parts]
    temperatures = [[fit_temperature(z, tune.labels) for z in tune.logits] for tune in tunes]
    streams = {}
    for number, (level, rows) in enumerate(evidence.test.items()):
        shifted = [load_records(_file(examples, name, level)).on("test") for name, _ in parts]
        if level == "none":
            kept = load_records(_file(examples, case.device, LEVELS[-1])).on("test").row
            shifted = [records.take(np.flatnonzero(np.isin(records.row, kept))) for records in shifted]
        streams[level] = _stream(shifted, temperatures, rows.labels, number)
    flops = np.cumsum([parts[0][1].provenance.exit_flops[-1], *(r.provenance.exit_flops[-1] for _, r in parts[1:])])
    upto = np.array(parts[0][1].provenance.exit_flops) if len(parts) == 1 else flops
    experts = {level: confidence(rows) for level, rows in evidence.test.items()}
    return ImageCase(case.name, streams, experts, tuple((NETWORK_COST * upto / upto[-1]).tolist()))


def _stream(parts: list[Records], temperatures: list[list[float]], labels: NDArray[np.int64], number: int) -> Stream:
    highest, said = [], []
    for records, degrees in zip(parts, temperatures, strict=True):
        chosen = range(records.exits) if len(parts) == 1 else [records.exits - 1]
        for index in chosen:
            highest.append(served_probabilities(records.logits[index], degrees[index]).max(-1))
            said.append(records.predictions[index])
    return Stream(
        np.stack(highest).astype(np.float32),
        np.stack(said).astype(np.intp),
        labels.astype(np.intp),
        context=np.full(len(labels), number, np.intp),
    )


def _names(case: Case) -> list[str]:
    return [case.device] if case.remote is None else [case.device, case.remote]


def _file(examples: Path, name: str, level: str) -> Path:
    folder = examples / name / "records"
    return folder / "fp32.parquet" if level == "none" else folder / "shift" / f"{level}.parquet"
