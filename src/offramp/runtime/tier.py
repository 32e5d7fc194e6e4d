"""Computing and deciding on one tier, without sockets."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.manifest import TensorSpec
from offramp.cascade.pace import Pace
from offramp.cascade.segment import SegmentOutput
from offramp.cascade.store import Cascade
from offramp.cascade.walk import Stop, walk
from offramp.clock import Clock, SystemClock
from offramp.planning.plan import Plan
from offramp.runtime.counters import Counters
from offramp.runtime.engine import Engine, Local
from offramp.runtime.leaving import Leaving
from offramp.runtime.paced import PacedSegment
from offramp.runtime.route import Route
from offramp.runtime.routes import Routes
from offramp.runtime.rows import Rows
from offramp.runtime.templates import RequestTemplates

__all__ = ["Tier", "TierRun"]

Array = NDArray[Any]


@dataclass(slots=True)
class TierRun:
    """What a tier made of n rows.

    ``rows`` holds the answers so far; ``survivors`` (m,) are the rows that must go on, ``tensors``
    theirs at cut ``cut``. ``earlier_labels`` (e, m) are what the e exits before the cut answered, where a gate
    behind it asks for that. ``samples`` are their numbers, where a policy decided on them.
    """

    rows: Rows
    survivors: NDArray[np.intp]
    tensors: tuple[Array, ...]
    cut: int
    earlier_labels: Array | None = None
    samples: range = range(0)


class Tier(Routes):
    """The segments and plans one tier holds, and what it has counted.

    Parameters
    ----------
    cascade : the opened cascade; segments are loaded when first needed, or by `warm`
    name : of the tier, as in the plans
    plans : known by their id; the first is the default
    slow_down : run that many times slower than this machine
    clock : for deadlines and waiting
    engine : where its segments run; default: in this process

    Raises
    ------
    RecordMismatch : a plan belongs to another cascade
    ConfigError : no plan, or one that does not know the tier

    Examples
    --------
    >>> from offramp.cascade.store import open_cascade
    >>> cascade = open_cascade(getfixture("tiny_cascade"))
    >>> plan = Plan(cascade="tiny", cascade_fingerprint=cascade.manifest.fingerprint, tiers=("device",),
    ...             placement=("device", "device"), gates=[{"threshold": None}], temperatures=(1.0, 1.0))
    >>> tier = Tier(cascade, "device", [plan])
    >>> run = tier.run(tier.route(), 0, [np.zeros((2, 4), np.float32)])
    >>> run.rows.exit.tolist(), len(run.survivors)
    ([1, 1], 0)
    """

    def __init__(
        self,
        cascade: Cascade,
        name: str,
        plans: Iterable[Plan],
        *,
        slow_down: float = 1.0,
        clock: Clock | None = None,
        engine: Engine | None = None,
    ) -> None:
        self.cascade = cascade
        self.engine = engine or Local(cascade)
        self.clock = clock or SystemClock()
        self.pace = Pace(slow_down, self.clock)
        super().__init__(cascade.manifest, name, plans)
        self._next_exits = tuple(
            next(later for later in range(cut, len(self.exit_of)) if self.exit_of[later] is not None) + 1
            for cut in range(len(self.exit_of))
        )
        self.counters = Counters(name, len(self.exit_of), len(self.manifest.exit_segments))
        #: what it asks the next tier
        self.templates = RequestTemplates(self.manifest)
        self._segments: dict[tuple[int, str], PacedSegment] = {}

    def segment(self, route: Route, index: int) -> PacedSegment:
        """Segment ``index`` in the plan's precision, loaded on first use."""
        key = index, route.precisions[index]
        if key not in self._segments:
            loaded = self.engine.load(index, key[1])
            self._segments[key] = PacedSegment(loaded, self.pace, self.clock)
        return self._segments[key]

    def warm(self, route: Route, start: int, stop: int) -> None:
        """Load segments and run each once on zeros, so that the first row is as fast as the rest.

        What it measures is the first guess of `expected_s`.
        """
        for index in range(start, stop):
            segment = self.segment(route, index)
            if not segment.row_s:
                segment.warm([_zeros(spec) for spec in self.manifest.tensors_at(index)])

    def expected_s(self, route: Route, start: int, stop: int, rows: int = 1) -> float:
        """Seconds the segments ``start`` to ``stop`` (excluded) took lately for so many rows.

        Infinite where one was never run.
        """
        total = 0.0
        for index in range(start, stop):
            segment = self._segments.get((index, route.precisions[index]))
            if segment is None or not segment.row_s:
                return math.inf
            total += segment.row_s * rows
        return total

    def next_exit(self, cut: int) -> int:
        """The cut right behind the first exit at or after ``cut``."""
        return self._next_exits[cut]

    def earlier_exits(self, route: Route, cut: int) -> int:
        """How many exits' answers rows at ``cut`` must bring along: all before it, or none if no gate asks."""
        before = sum(index is not None for index in self.exit_of[:cut])
        return before if route.needs_labels(before) else 0

    def in_time(self, route: Route, cut: int, stop: int, rows: int, deadline_s: float) -> bool:
        """Whether rows at ``cut`` reach the next exit (or ``stop``) before the deadline, as far as is known."""
        if cut >= stop:
            return True
        seconds = self.expected_s(route, cut, min(stop, self.next_exit(cut)), rows)
        return not math.isfinite(seconds) or self.clock.now() + seconds <= deadline_s

    def run(
        self,
        route: Route,
        cut: int,
        tensors: Sequence[Array],
        deadline_s: float | None = None,
        earlier_labels: Array | None = None,
        *,
        stop: int | None = None,
    ) -> TierRun:
        """Run rows from ``cut`` to where the plan ends this tier's part, or to ``stop``.

        When the time left does not reach to the next exit, all rows leave where they are, those that
        wanted to go on marked ``deadline``.

        Parameters
        ----------
        route : of the plan to follow
        cut : where the rows stand
        tensors : at that cut, n rows each
        deadline_s : on this tier's clock
        earlier_labels : (e, n) what the exits before ``cut`` answered; needed as `earlier_exits` says
        stop : a cut before the end of this tier's part
        """
        stop, rows = max(cut, route.stop if stop is None else stop), len(tensors[0])
        if cut == stop:
            everyone = np.arange(rows, dtype=np.intp)
            return TierRun(Rows.unanswered(rows, self.classes), everyone, tuple(tensors), cut, earlier_labels)
        if stop == len(self.exit_of) == self.next_exit(cut) and self._hands_features(cut, stop - 1):
            return self._run_through(route, cut, tensors)
        left = Leaving(self, route, rows, stop, deadline_s, earlier_labels)
        run = self._walk(route, cut, stop, tensors, left)
        if left.labels is not None and self.earlier_exits(route, stop):
            run.earlier_labels = left.labels
        return run

    def _hands_features(self, start: int, stop: int) -> bool:
        return all(segment.hand_over == "features" for segment in self.manifest.segments[start:stop])

    def _run_through(self, route: Route, cut: int, tensors: Sequence[Array]) -> TierRun:
        """Run rows to the last exit, where no other lies before it: there is nothing to decide."""
        begin_s, rows, name = self.clock.now(), len(tensors[0]), self.name
        for index in range(cut, len(self.exit_of)):
            exit_index = self.exit_of[index]
            output = self.segment(route, index).run(tensors, 1.0 if exit_index is None else route.temperatures[-1])
            tensors = output.hand_over
            self.counters.rows_executed[index] += rows
        assert output.label is not None
        assert output.probabilities is not None
        assert output.confidence is not None
        exits = np.empty(rows, np.int64)
        exits.fill(len(route.temperatures) - 1)
        found = Rows(output.label, output.probabilities, output.confidence, exits, [name] * rows, [""] * rows)
        found.compute_s[name] = self.clock.now() - begin_s
        return TierRun(found, np.empty(0, np.intp), (), len(self.exit_of))

    def run_to_exit(self, route: Route, cut: int, tensors: Sequence[Array]) -> TierRun:
        """Run rows from ``cut`` to the next exit, whatever the plan says, and let all of them leave there."""
        return self._walk(route, cut, self.next_exit(cut), tensors, _everyone)

    def _walk(self, route: Route, cut: int, stop: int, tensors: Sequence[Array], leaving: Stop) -> TierRun:
        begin_s = self.clock.now()
        state = walk(
            [self.segment(route, index) for index in range(cut, stop)],
            self.exit_of[cut:stop],
            route.temperatures,
            tensors,
            leaving,
            self.classes,
            sample=self._sample(cut, tensors),
        )
        for position, rows in enumerate(state.rows_executed):
            self.counters.rows_executed[cut + position] += rows
        result = Rows.from_walk(state, self.name)
        result.compute_s[self.name] = self.clock.now() - begin_s
        if isinstance(leaving, Leaving) and leaving.cut_short is not None:
            result.mark("deadline", leaving.cut_short)
        return TierRun(result, state.survivors, state.tensors, stop)

    def _sample(self, cut: int, tensors: Sequence[Array]) -> Sequence[Array] | None:
        """The raw input rows, where they are what crosses the cut."""
        return tensors if self.manifest.tensors_at(cut) == self.manifest.inputs else None


def _everyone(exit_index: int, output: SegmentOutput) -> NDArray[np.bool_]:
    assert output.label is not None
    return np.ones(len(output.label), bool)


def _zeros(spec: TensorSpec) -> Array:
    return np.zeros([1, *(size or 1 for size in spec.row_shape)], spec.dtype)
