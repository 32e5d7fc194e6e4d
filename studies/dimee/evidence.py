"""A text task: records of six exits, routing features, and which rows may do what."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.gates.evidence import ExitEvidence
from offramp.confidence.temperature import fit_temperature
from offramp.errors import OfframpError
from offramp.policies.setting import LabelledRows
from offramp.policies.stream import Stream, stream_of
from offramp.records.confidences import exit_evidence
from offramp.records.records import Records, load_records
from studies.dimee.features import COMPONENTS, EXAMPLES, TrainingHistory, load_features, load_history

__all__ = ["TASKS", "Part", "Task", "load_tasks"]

TASKS = ("sst2", "mrpc", "rte")
_FOLDS = 5


@dataclass(frozen=True)
class Part:
    """Some rows of a task: records, the temperatures of its exits, features (n, d), and the history of the training."""

    records: Records
    temperatures: tuple[float, ...]
    features: NDArray[np.float32]
    history: TrainingHistory | None = None
    #: fitted on these rows before: gates by prices, trade-off and hand-over, routers by kind
    gates: dict[Any, Any] = field(default_factory=dict, compare=False)
    routers: dict[str, Any] = field(default_factory=dict, compare=False)

    def __len__(self) -> int:
        return len(self.records)

    @cached_property
    def stream(self) -> Stream:
        """As policies meet the rows."""
        return replace(stream_of(self.records, temperatures=self.temperatures), features=self.features)

    @property
    def right(self) -> NDArray[np.bool_]:
        """(6, n)."""
        return self.records.correct

    @property
    def tokens(self) -> NDArray[np.float32]:
        """(n,) of the texts."""
        return self.features[:, COMPONENTS]

    def evidence(self, index: int) -> ExitEvidence:
        """What the gate of an exit knows."""
        return exit_evidence(self.records, self.temperatures, index)

    def at(self, exits: tuple[int, ...]) -> LabelledRows:
        """Labelled rows of some exits alone."""
        rows = self.stream.labelled
        chosen = list(exits)
        return replace(
            rows, confidence=rows.confidence[chosen], predicted=rows.predicted[chosen], runner_up=rows.runner_up[chosen]
        )

    @cached_property
    def folds(self) -> tuple[tuple[Part, Part], ...]:
        """Four fifths to fit on and the fifth to judge on, five times, drawn by a fixed seed."""
        fold = np.random.default_rng(0).permutation(len(self)) % _FOLDS
        return tuple(
            (self.take(np.flatnonzero(fold != k)), self.take(np.flatnonzero(fold == k))) for k in range(_FOLDS)
        )

    def take(self, index: NDArray[np.intp]) -> Part:
        """Some of the rows."""
        return Part(self.records.take(index), self.temperatures, self.features[index], self.history)


@dataclass(frozen=True)
class Task:
    """Tune rows choose, calibrate rows certify, test rows are only looked at."""

    name: str
    tune: Part
    calibrate: Part
    test: Part


def load_tasks(names: tuple[str, ...] = TASKS) -> Iterator[Task | str]:
    """Every task, or why it is left out."""
    for name in names:
        try:
            yield _load(name)
        except OfframpError as error:
            yield f"{name}: {error}"


def _load(name: str) -> Task:
    records = load_records(EXAMPLES / name / "records" / "fp32.parquet")
    features = load_features(name)
    tune = records.on("tune")
    temperatures = tuple(fit_temperature(logits, tune.labels) for logits in tune.logits)
    splits = [records.on(split) for split in ("tune", "calibrate", "test")]
    history = load_history(name)
    return Task(name, *(Part(each, temperatures, features.of(each), history) for each in splits))
