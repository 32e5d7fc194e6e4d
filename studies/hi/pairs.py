"""Pairs of a small network and a large one, on the rows both have answered."""

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
from offramp.errors import NotEnoughSamples
from offramp.records.records import Records, load_records
from studies.cascades.superclasses import SUPERCLASS
from studies.two_stage import require_same_rows

__all__ = ["PAIRS", "Pair", "PairSpec", "pairs"]

EXAMPLES = Path(__file__).parents[2] / "examples"
POOL = ("calibrate", "test")


@dataclass(frozen=True)
class PairSpec:
    """The first exit of the folder ``near`` before the last one of ``far``; ``coarse`` on the 20 superclasses."""

    name: str
    near: str
    far: str
    coarse: bool = False


PAIRS = (
    PairSpec("CIFAR-10 JPEG", "resnet8-cifar10", "compact-cifar10"),
    PairSpec("CIFAR-100 fine", "pair-cifar100", "pair-cifar100"),
    PairSpec("CIFAR-100 superclass", "pair-cifar100", "pair-cifar100", coarse=True),
    PairSpec("CIFAR-10 exact, published weights", "pair-exact", "pair-exact"),
)


@dataclass(frozen=True)
class Pair:
    """One pair on the n rows of the pool.

    Parameters
    ----------
    name : of the pair
    probabilities : (n, K) of the small network, calibrated on the tune rows where there are some
    raw : (n,) its highest probability without a temperature
    right_here, right_later : (n,)
    calibrated : whether there were tune rows
    test : (n,) which of the rows are test rows
    """

    name: str
    probabilities: NDArray[np.float64]
    raw: NDArray[np.float64]
    right_here: NDArray[np.bool_]
    right_later: NDArray[np.bool_]
    calibrated: bool
    test: NDArray[np.bool_]

    @property
    def confidence(self) -> NDArray[np.float64]:
        """(n,) highest calibrated probability."""
        highest: NDArray[np.float64] = self.probabilities.max(-1)
        return highest

    @property
    def evidence(self) -> ExitEvidence:
        """What a gate sees."""
        return ExitEvidence(0, self.confidence, self.probabilities)

    @property
    def features(self) -> GainFeatures:
        """What the gain gate looks at."""
        return GainFeatures.of(self.evidence)

    def __len__(self) -> int:
        return len(self.right_here)


def pairs(specs: tuple[PairSpec, ...] = PAIRS) -> Iterator[Pair | str]:
    """Every pair whose records are there; of the others one sentence why not.

    Raises
    ------
    RecordMismatch : the records of two folders are not of the same rows
    """
    for spec in specs:
        missing = [name for name in dict.fromkeys((spec.near, spec.far)) if not _file(name).is_file()]
        if missing:
            yield f"{spec.name}: no records of {' and '.join(missing)} yet"
        else:
            yield _pair(spec)


def _pair(spec: PairSpec) -> Pair:
    near, far = load_records(_file(spec.near)), load_records(_file(spec.far))
    require_same_rows(near, far)
    here, labels = _scores(near, 0, spec.coarse)
    later, _ = _scores(far, -1, spec.coarse)
    pool, tune = np.isin(near.split, POOL), near.split == "tune"
    temperature = fit_temperature(here[tune], labels[tune]) if tune.any() else 1.0
    if not pool.any():
        raise NotEnoughSamples(f"records of {near.provenance.cascade!r} have no {' or '.join(POOL)} rows")
    right_here, right_later = here.argmax(-1) == labels, later.argmax(-1) == labels
    return Pair(
        spec.name,
        softmax(here[pool], temperature),
        softmax(here[pool]).max(-1),
        right_here[pool],
        right_later[pool],
        bool(tune.any()),
        near.split[pool] == "test",
    )


def _scores(records: Records, exit_index: int, coarse: bool) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(n, K) logits and (n,) labels; of superclasses the log of the sum of their classes' odds."""
    logits = records.logits[exit_index].astype(np.float64)
    if not coarse:
        return logits, records.labels
    groups = [np.logaddexp.reduce(logits[:, group == SUPERCLASS], axis=1) for group in range(SUPERCLASS.max() + 1)]
    return np.stack(groups, 1), SUPERCLASS[records.labels]


def _file(name: str) -> Path:
    return EXAMPLES / name / "records" / "fp32.parquet"
