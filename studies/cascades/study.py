"""Test accuracy of every exit of every cascade whose records are committed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.errors import RecordMismatch
from offramp.records.records import Records, load_records
from studies.cascades.superclasses import SUPERCLASS
from studies.cascades.targets import TARGETS, Target
from studies.row import StudyRow

__all__ = ["TRAININGS", "study"]

EXAMPLES = Path(__file__).parents[2] / "examples"
#: whose records this study reads and whose weights come from here; the hybrids are trained by their own study
TRAININGS = (
    *("resnet8-cifar10", "compact-cifar10", "resnet8-cifar100", "compact-cifar100", "balexnet", "resnet20"),
    *("resnet32-cifar100", "mobilenetv2-cifar100", "sst2", "mrpc", "rte"),
)
#: how a data set is called in prose: always with the form its images have
DATA = {
    "cifar10-exact-subset": "CIFAR-10 (exact pixels)",
    "cifar10-jpeg": "CIFAR-10 (JPEG)",
    "cifar100": "CIFAR-100 (exact pixels)",
    "digits": "scikit-learn's digits",
    "mrpc": "MRPC",
    "rte": "RTE (dev)",
    "sst2": "SST-2 (dev)",
}


def study() -> Iterator[StudyRow]:
    """One row per cascade, variant and exit; CIFAR-100 also on its 20 superclasses.

    Raises
    ------
    RecordMismatch : no records are there, or a file is damaged
    """
    files = sorted(EXAMPLES.glob("*/records/*.parquet"))
    if not files:
        raise RecordMismatch(f"{EXAMPLES}: no records/*.parquet in any example; record a cascade first")
    for file in files:
        yield from _rows(load_records(file))


def _rows(records: Records) -> Iterator[StudyRow]:
    test, come_from = records.on("test"), records.provenance
    data = DATA.get(come_from.data, come_from.data)
    for index, name in enumerate(test.exit_names):
        title = f"{come_from.cascade} {come_from.variant}, exit {name}"
        right = test.correct[index]
        target = _target(come_from.cascade, come_from.variant, index, test.exits)
        yield _row(title, right, f"the {len(test):,} test rows of {data}", target)
        if come_from.data == "cifar100":
            right = SUPERCLASS[test.logits[index].argmax(1)] == SUPERCLASS[test.labels]
            yield _row(
                f"{title}, 20 superclasses", right, f"the superclass of the answer, {len(test):,} test rows", None
            )


def _target(cascade: str, variant: str, index: int, exits: int) -> Target | None:
    return TARGETS.get((cascade, variant, index)) or TARGETS.get((cascade, variant, index - exits))


def _row(name: str, right: NDArray[np.bool_], where: str, target: Target | None) -> StudyRow:
    accuracy = 100 * float(right.mean())
    low, high = _wilson(int(right.sum()), len(right))
    how = f"replayed on {where}; 95 % interval {100 * low:.1f} to {100 * high:.1f} %"
    if target is None:
        return StudyRow(name, None, accuracy, "%", how)
    held = target.held(accuracy)
    return StudyRow(name, target.accuracy, accuracy, "%", f"{how}; {target.sentence}", held)


def _wilson(successes: int, trials: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    z = 1.959964
    share = successes / trials
    middle = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    return float(middle - half), float(middle + half)
