"""What one request asks a tier to compute, and the parts it is computed in."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.walk import NO_EXIT
from offramp.runtime.route import Route
from offramp.runtime.rows import Rows
from offramp.runtime.tier import TierRun

__all__ = ["Part", "Stage", "Work"]

Array = NDArray[Any]
#: the tensors of all rows, and what the exits before answered (e, n), where that was sent along
Inputs = tuple[tuple[Array, ...], Array | None]

#: so urgent is a request without a deadline, so that those with one cannot keep it waiting for ever
PATIENCE_S = 30.0

_sequence = itertools.count()


class Stage(NamedTuple):
    """What rows must have in common to be computed together."""

    plan_id: str
    cut: int
    row_shapes: tuple[tuple[int, ...], ...]
    has_labels: bool


@dataclass(slots=True, eq=False)
class Work:
    """The computing one request asks for: ``rows`` rows from ``cut`` to the end of this tier's part.

    Parameters
    ----------
    route : of the plan it follows
    cut : where its rows stand
    shapes : of its tensors
    deadline_s : on the tier's clock
    begin_s : when it arrived
    read : gives its tensors; called once, where it is computed
    finish : called with the result, there as well
    answers : n rows, as yet unanswered
    has_labels : whether it brings the answers of earlier exits

    Attributes
    ----------
    future : of who waits
    run, error : what it came to
    """

    route: Route
    cut: int
    shapes: tuple[tuple[int, ...], ...]
    deadline_s: float | None
    begin_s: float
    read: Callable[[], Inputs]
    finish: Callable[[TierRun], None]
    answers: Rows
    has_labels: bool = False
    future: asyncio.Future[TierRun] | None = None
    error: Exception | None = None
    run: TierRun | None = None
    sequence: int = field(default_factory=_sequence.__next__)
    _inputs: Inputs | None = None
    _left: int = 0
    _on: list[Part] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._left = len(self.answers)

    @property
    def wanted(self) -> bool:
        """Whether there is still a point in computing it: it has not failed, and somebody waits."""
        return self.error is None and (self.future is None or not self.future.done())

    @property
    def started(self) -> bool:
        """Whether its tensors were read."""
        return self._inputs is not None

    @property
    def due_s(self) -> float:
        """When its turn should have come: its deadline; where it has none, not later than a patient one's."""
        return self.begin_s + PATIENCE_S if self.deadline_s is None else self.deadline_s

    def whole(self) -> Part:
        """All of it as one part."""
        row_shapes = tuple(shape[1:] for shape in self.shapes)
        stage = Stage(self.route.plan_id, self.cut, row_shapes, self.has_labels)
        return Part(self, np.arange(len(self.answers), dtype=np.intp), stage)

    def inputs(self) -> Inputs:
        """Its tensors, read when first asked for."""
        if self._inputs is None:
            self._inputs = self.read()
        return self._inputs

    def put(self, at: NDArray[np.intp], rows: Rows) -> None:
        """Take in what a batch found for the rows ``at``; where it met no exit, the answers stay as they are."""
        if rows.exit[0] == NO_EXIT:
            self.answers.add_seconds(rows)
        else:
            self.answers.put(at, rows)

    def merged(self, rows: Rows) -> Rows:
        """What all rows were answered, if the last batch held every one of them."""
        if rows.exit[0] == NO_EXIT:
            self.answers.add_seconds(rows)
            return self.answers
        rows.add_seconds(self.answers)
        return rows

    def leave(self, count: int) -> bool:
        """So many rows need no more computing here; whether all is done."""
        self._left -= count
        return not self._left

    def hand_on(self, part: Part) -> bool:
        """Rows that have come to the end of this tier's part without leaving; whether all is done."""
        self._on.append(part)
        return self.leave(len(part))

    def complete(self, run: TierRun) -> None:
        """Everything is computed."""
        self.finish(run)
        self.run = run

    def result(self) -> TierRun:
        """Everything that was found, survivors in the order of the request."""
        if not self._on:
            return TierRun(self.answers, np.empty(0, np.intp), (), self.route.stop)
        at = np.concatenate([part.at for part in self._on])
        order = np.argsort(at)
        tensors = tuple(np.concatenate(column)[order] for column in zip(*(p.tensors for p in self._on), strict=True))
        labels = None
        if self._on[0].labels is not None:
            labels = np.concatenate([part.labels for part in self._on if part.labels is not None], axis=1)[:, order]
        return TierRun(self.answers, at[order], tensors, self.route.stop, labels)


@dataclass(slots=True, eq=False)
class Part:
    """Some rows of one request, all at one stage.

    ``at`` (m,) are their positions in the request. ``held`` are their tensors and earlier labels, ``None``
    as long as they are those of the request, possibly not read yet.
    """

    work: Work
    at: NDArray[np.intp]
    stage: Stage
    held: Inputs | None = None

    def __len__(self) -> int:
        return len(self.at)

    @property
    def tensors(self) -> tuple[Array, ...]:
        """Its tensors, m rows each."""
        if self.held is not None:
            return self.held[0]
        tensors = self.work.inputs()[0]
        return tensors if len(self.at) == len(tensors[0]) else tuple(tensor[self.at] for tensor in tensors)

    @property
    def labels(self) -> Array | None:
        """(e, m) what earlier exits answered, where a gate asks."""
        if self.held is not None:
            return self.held[1]
        labels = self.work.inputs()[1]
        return labels if labels is None else labels[:, self.at]

    def split(self, count: int) -> tuple[Part, Part]:
        """The first ``count`` rows, and the rest."""
        first, rest = slice(None, count), slice(count, None)
        return self._some(first), self._some(rest)

    def _some(self, which: slice) -> Part:
        held = self.held
        if held is not None:
            labels = held[1]
            held = tuple(tensor[which] for tensor in held[0]), None if labels is None else labels[:, which]
        return Part(self.work, self.at[which], self.stage, held)
