"""What the study runs on: a cascade's exits, or those of a small net before a large one, on tune rows and a pool."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.risks import Evidence
from offramp.confidence.served import served_confidence
from offramp.confidence.temperature import fit_temperature
from offramp.errors import RecordMismatch
from offramp.records.records import Records, load_records

__all__ = ["EXAMPLES", "SOURCES", "Problem", "load_problem"]

EXAMPLES = Path(__file__).parents[2] / "examples"
#: (small or only cascade, large one or none)
SOURCES: tuple[tuple[str, str | None], ...] = (
    ("cifar10", None),
    ("cifar10", "compact-cifar10"),
    ("resnet20", None),
    ("resnet32-cifar100", None),
    ("resnet8-cifar100", "compact-cifar100"),
    ("sst2", None),
    ("mrpc", None),
)


@dataclass(frozen=True)
class Problem:
    """Tune rows, which fitted temperatures and fix orders, and the pool of calibrate and test rows.

    ``exit_cost`` (E,) FLOPs up to each exit, 1 for the last.
    """

    name: str
    tune: Evidence
    pool: Evidence
    exit_cost: NDArray[np.float64]


def load_problem(small: str, large: str | None, folder: Path = EXAMPLES) -> Problem | None:
    """The problem, or ``None`` where its records are not there.

    Raises
    ------
    RecordMismatch : two cascades were recorded on different rows, or do not say their FLOPs
    """
    files = [folder / name / "records" / "fp32.parquet" for name in (small, large) if name]
    if not all(file.is_file() for file in files):
        return None
    parts = [load_records(file) for file in files]
    if len(parts) == 2 and not np.array_equal(parts[0].row, parts[1].row):
        raise RecordMismatch(f"{small!r} and {large!r} were not recorded on the same rows; record them again")
    if not all(part.provenance.exit_flops for part in parts):
        raise RecordMismatch(f"{small!r}: the records do not say their FLOPs; record again")
    tune = [part.on("tune") for part in parts]
    temperatures = [[fit_temperature(z, part.labels) for z in part.logits] for part in tune]
    spent = np.cumsum([0, *(part.provenance.exit_flops[-1] for part in parts[:-1])])
    flops = [at + np.array(part.provenance.exit_flops, float) for at, part in zip(spent, parts, strict=True)]
    cost = np.concatenate(flops)
    return Problem(
        small if large is None else f"{small} + {large}",
        _evidence(tune, temperatures),
        _evidence([part.on("calibrate", "test") for part in parts], temperatures),
        cost / cost[-1],
    )


def _evidence(parts: list[Records], temperatures: list[list[float]]) -> Evidence:
    score = [
        served_confidence(z, t)
        for part, degrees in zip(parts, temperatures, strict=True)
        for z, t in zip(part.logits, degrees, strict=True)
    ]
    return Evidence(np.stack(score[:-1]), np.concatenate([part.correct for part in parts]))
