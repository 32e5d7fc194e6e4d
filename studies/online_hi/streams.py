"""The streams of the study: one early exit against the last, with rows to begin from and rows that certify."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.temperature import fit_temperature
from offramp.errors import NotEnoughSamples, RecordMismatch
from offramp.policies.stream import Stream, stream_of
from offramp.records.records import Records, load_records

__all__ = ["CASES", "EXAMPLES", "SHIFTS", "Case", "Problem", "load_case", "load_cases"]

EXAMPLES = Path(__file__).parents[2] / "examples"


@dataclass(frozen=True)
class Case:
    """From an exit of ``near`` to the last exit of ``far``; ``shift`` names what the middle third suffers."""

    name: str
    near: str
    far: str
    exit_index: int = 0
    shift: str | None = None


CASES = (
    Case("CIFAR-10 pair", "resnet8-cifar10", "compact-cifar10"),
    Case("CIFAR-100 pair", "pair-cifar100", "pair-cifar100"),
    Case("SST-2 exits", "sst2", "sst2"),
)
#: clean, then so shifted, then clean again: a third each
SHIFTS = (
    Case("CIFAR-10 exits, noise 20", "cifar10", "cifar10", shift="noise20"),
    Case("CIFAR-10 exits, blur 1", "cifar10", "cifar10", shift="blur1"),
    Case("CIFAR-10 pair, noise 10", "resnet8-cifar10", "compact-cifar10", shift="noise10"),
    Case("CIFAR-10 pair, noise 20", "resnet8-cifar10", "compact-cifar10", shift="noise20"),
    Case("CIFAR-10 pair, blur 1", "resnet8-cifar10", "compact-cifar10", shift="blur1"),
)


@dataclass(frozen=True)
class Problem:
    """A case with its rows.

    Parameters
    ----------
    name : of the case
    classes : K
    tune : labelled rows to begin from
    calibrate : rows that certify
    pool : the test rows, and after them the shifted ones
    shifted : how many of these there are
    """

    name: str
    classes: int
    tune: Stream
    calibrate: Stream
    pool: Stream
    shifted: int = 0

    @property
    def rows(self) -> int:
        """Samples of a stream."""
        clean = len(self.pool) - self.shifted
        return clean // 3 * 3 if self.shifted else clean

    def orders(self, count: int, seed: int = 0) -> NDArray[np.intp]:
        """(count, rows) shuffles of the test rows; where something shifts the middle third is of shifted rows."""
        found = []
        clean = len(self.pool) - self.shifted
        for number in range(count):
            rng = np.random.default_rng([seed, number])
            order = rng.permutation(clean)[: self.rows]
            if self.shifted:
                third = self.rows // 3
                order[third : 2 * third] = clean + rng.permutation(self.shifted)[:third]
            found.append(order)
        return np.stack(found)

    def published(self) -> Problem:
        """The setting of the papers: what the last exit says is the truth."""
        streams = {name: getattr(self, name).published() for name in ("tune", "calibrate", "pool")}
        return replace(self, **streams)


def load_cases(cases: tuple[Case, ...], examples: Path = EXAMPLES) -> Iterator[Problem | str]:
    """Every case, or one sentence why it is left out."""
    for case in cases:
        try:
            yield load_case(case, examples)
        except (RecordMismatch, NotEnoughSamples) as error:
            yield f"{case.name}: {error}"


def load_case(case: Case, examples: Path = EXAMPLES) -> Problem:
    """The rows of a case; temperatures are fitted on the tune rows.

    Raises
    ------
    RecordMismatch : records are missing, damaged, or not of the same rows
    NotEnoughSamples : a split has no rows
    """
    near, far = (load_records(examples / name / "records" / "fp32.parquet") for name in (case.near, case.far))
    records = _side_by_side(case, near, far)
    tune = records.on("tune")
    degrees = [fit_temperature(logits, tune.labels) for logits in tune.logits]
    parts = {split: stream_of(records.on(split), temperatures=degrees) for split in ("tune", "calibrate", "test")}
    pool, shifted = parts["test"], 0
    if case.shift is not None:
        file = Path("records", "shift", f"{case.shift}.parquet")
        moved = [load_records(examples / name / file).on("test") for name in (case.near, case.far)]
        more = stream_of(_side_by_side(case, *moved), temperatures=degrees)
        pool, shifted = _joined(pool, more), len(more)
    return Problem(case.name, records.classes, parts["tune"], parts["calibrate"], pool, shifted)


def _side_by_side(case: Case, near: Records, far: Records) -> Records:
    """The two exits as one set of records."""
    if not np.array_equal(near.row, far.row) or not np.array_equal(near.labels, far.labels):
        raise RecordMismatch(f"records of {case.near!r} and {case.far!r} are not of the same rows")
    logits = np.stack([near.logits[case.exit_index], far.logits[-1]])
    return replace(near, logits=logits, exit_names=("early", "last"))


def _joined(*parts: Stream) -> Stream:
    def along(name: str) -> NDArray[np.float32]:
        return np.concatenate([getattr(part, name) for part in parts], axis=-1)

    return replace(
        parts[0],
        confidence=along("confidence"),
        predicted=np.concatenate([part.predicted for part in parts], axis=-1),
        truth=np.concatenate([part.truth for part in parts]),
        runner_up=along("runner_up"),
    )
