"""The two-stage problems: an exit that may answer, and what answers if it does not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.evidence import ExitEvidence
from offramp.confidence.gates.features import GainFeatures
from offramp.confidence.scores import softmax
from offramp.confidence.temperature import fit_temperature
from offramp.records.records import Records, load_records
from studies.two_stage import require_same_rows

__all__ = ["PROBLEMS", "Problem", "ProblemSpec", "problems"]

EXAMPLES = Path(__file__).parents[2] / "examples"
POOL = ("calibrate", "test")


@dataclass(frozen=True)
class ProblemSpec:
    """Exits of the folder ``near`` that go on to the last exit of ``far``."""

    near: str
    far: str
    exits: tuple[int, ...]


PROBLEMS = (
    ProblemSpec("cifar10", "cifar10", (0, 1)),
    ProblemSpec("cifar10", "compact-cifar10", (0, 1, 2)),
    ProblemSpec("resnet8-cifar10", "compact-cifar10", (0,)),
    ProblemSpec("resnet20", "resnet20", (0, 1, 2)),
    ProblemSpec("resnet8-cifar100", "resnet32-cifar100", (0,)),
    ProblemSpec("resnet8-cifar100", "compact-cifar100", (0,)),
    ProblemSpec("resnet32-cifar100", "resnet32-cifar100", (0, 1, 2)),
    ProblemSpec("sst2", "sst2", (0, 1, 2)),
    ProblemSpec("mrpc", "mrpc", (0, 1, 2, 3)),
)


@dataclass(frozen=True)
class Problem:
    """One exit and what comes after it, on the rows of the pool.

    Parameters
    ----------
    name : which exit, and where it goes on to
    features : of the n rows
    evidence : of the n rows
    right_here, right_later : (n,)
    """

    name: str
    features: GainFeatures
    evidence: ExitEvidence
    right_here: NDArray[np.bool_]
    right_later: NDArray[np.bool_]

    @property
    def confidence(self) -> NDArray[np.float64]:
        """(n,) highest probability."""
        return self.features.confidence

    def __len__(self) -> int:
        return len(self.right_here)


def problems(specs: tuple[ProblemSpec, ...] = PROBLEMS) -> Iterator[Problem | str]:
    """Every problem whose records are there; of the others one sentence why not.

    Raises
    ------
    RecordMismatch : records of two folders are not of the same rows
    """
    for spec in specs:
        missing = [name for name in dict.fromkeys((spec.near, spec.far)) if not _file(name).is_file()]
        if missing:
            yield f"{spec.near} to {spec.far}: no records of {' and '.join(missing)} yet"
            continue
        near, far = load_records(_file(spec.near)), load_records(_file(spec.far))
        for exit_index in spec.exits:
            yield _problem(near, far, exit_index)


def _problem(near: Records, far: Records, exit_index: int) -> Problem:
    require_same_rows(near, far)
    tune, pool = near.on("tune"), near.on(*POOL)
    temperature = fit_temperature(tune.logits[exit_index], tune.labels)
    probabilities = softmax(pool.logits[exit_index], temperature)
    earlier = pool.predictions[:exit_index]
    evidence = ExitEvidence(exit_index, probabilities.max(-1), probabilities, earlier)
    name = near.provenance.cascade
    to = "final" if near.provenance == far.provenance else far.provenance.cascade
    return Problem(
        f"{name} {near.exit_names[exit_index]} to {to}",
        GainFeatures.of(evidence),
        evidence,
        pool.correct[exit_index],
        far.on(*POOL).correct[-1],
    )


def _file(name: str) -> Path:
    return EXAMPLES / name / "records" / "fp32.parquet"
