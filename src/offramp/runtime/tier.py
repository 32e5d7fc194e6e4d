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
from offramp.errors import ConfigError, RecordMismatch
from offramp.planning.plan import Plan
from offramp.runtime.counters import Counters
from offramp.runtime.paced import PacedSegment
from offramp.runtime.route import Route
from offramp.runtime.rows import Rows

__all__ = ["Tier", "TierRun"]

Array = NDArray[Any]


@dataclass(slots=True)
class TierRun:
    """What a tier made of n rows.

    ``rows`` holds the answers so far; ``survivors`` (m,) are the rows that must go on, ``tensors``
    theirs at cut ``cut``.
    """

    rows: Rows
    survivors: NDArray[np.intp]
    tensors: tuple[Array, ...]
    cut: int


class Tier:
    """The segments and plans one tier holds, and what it has counted.

    Parameters
    ----------
    cascade : the opened cascade; segments are loaded when first needed, or by `warm`
    name : of the tier, as in the plans
    plans : known by their id; the first is the default
    slow_down : run that many times slower than this machine
    clock : for deadlines and waiting

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
    ) -> None:
        self.cascade = cascade
        self.manifest = cascade.manifest
        self.name = name
        self.clock = clock or SystemClock()
        self.pace = Pace(slow_down, self.clock)
        self.fingerprint = cascade.manifest.fingerprint
        self.classes = len(cascade.manifest.labels)
        exits = {segment: index for index, segment in enumerate(cascade.manifest.exit_segments)}
        #: for each segment the index of its exit, or ``None``
        self.exit_of = tuple(exits.get(segment) for segment in range(len(cascade.manifest.segments)))
        self.counters = Counters(name, len(self.exit_of), len(exits))
        self._segments: dict[tuple[int, str], PacedSegment] = {}
        self._routes: dict[str, Route] = {}
        for plan in plans:
            self.add(plan)
        if not self._routes:
            raise ConfigError(f"tier {name!r} has no plan; pass at least one")
        self._default = next(iter(self._routes.values()))

    def add(self, plan: Plan) -> Route:
        """Take a plan in and return its route through this tier.

        Raises
        ------
        RecordMismatch : it belongs to another cascade
        ConfigError : it does not fit the cascade or does not know the tier
        """
        plan.require(self.fingerprint)
        exits = sum(1 for index in self.exit_of if index is not None)
        if len(plan.placement) != len(self.exit_of) or len(plan.temperatures) != exits:
            raise ConfigError(
                f"the plan places {len(plan.placement)} segments and has {len(plan.temperatures)} exits, but "
                f"{self.manifest.name!r} has {len(self.exit_of)} and {exits}; run 'offramp plan' again"
            )
        self._require_samples(plan)
        route = Route.of(plan, self.name, len(self.exit_of))
        return self._routes.setdefault(route.plan_id, route)

    def _require_samples(self, plan: Plan) -> None:
        """Refuse a plan under which a tier would need the sample, but is handed features."""
        for tier in plan.tiers:
            mine = plan.tier_range(tier)
            handed_input = not mine or self.manifest.tensors_at(mine.start) == self.manifest.inputs
            for index in mine:
                if self.manifest.segments[index].hand_over == "input" and not handed_input:
                    raise ConfigError(
                        f"segment {index} hands over the input, but tier {tier!r} is handed the features of segment "
                        f"{mine.start - 1}; place both segments on one tier"
                    )

    def route(self, plan_id: str | None = None) -> Route:
        """The route of a plan; the default plan's without an id.

        Raises
        ------
        RecordMismatch : no such plan here
        """
        if plan_id is None:
            return self._default
        try:
            return self._routes[plan_id]
        except KeyError:
            raise RecordMismatch(
                f"tier {self.name!r} has no plan {plan_id!r}; it has {', '.join(self._routes)}: "
                "give the server the plan file the device uses"
            ) from None

    @property
    def plan_ids(self) -> tuple[str, ...]:
        """Ids of the plans it knows, the default first."""
        return tuple(self._routes)

    def segment(self, route: Route, index: int) -> PacedSegment:
        """Segment ``index`` in the plan's precision, loaded on first use."""
        key = index, route.precisions[index]
        if key not in self._segments:
            loaded = self.cascade.segment(index, precision=key[1])
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
        return next(i for i in range(cut, len(self.exit_of)) if self.exit_of[i] is not None) + 1

    def in_time(self, route: Route, cut: int, stop: int, rows: int, deadline_s: float) -> bool:
        """Whether rows at ``cut`` reach the next exit (or ``stop``) before the deadline, as far as is known."""
        if cut >= stop:
            return True
        seconds = self.expected_s(route, cut, min(stop, self.next_exit(cut)), rows)
        return not math.isfinite(seconds) or self.clock.now() + seconds <= deadline_s

    def run(self, route: Route, cut: int, tensors: Sequence[Array], deadline_s: float | None = None) -> TierRun:
        """Run rows from ``cut`` to where the plan ends this tier's part.

        When the time left does not reach to the next exit, all rows leave where they are, those that
        wanted to go on marked ``deadline``.

        Parameters
        ----------
        route : of the plan to follow
        cut : where the rows stand
        tensors : at that cut, n rows each
        deadline_s : on this tier's clock
        """
        stop = max(cut, route.stop)
        if cut == stop:
            rows = len(tensors[0])
            return TierRun(Rows.unanswered(rows, self.classes), np.arange(rows, dtype=np.intp), tuple(tensors), cut)
        left = _Leaving(self, route, len(tensors[0]), stop, deadline_s)
        return self._walk(route, cut, stop, tensors, left)

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
        if isinstance(leaving, _Leaving) and leaving.cut_short is not None:
            result.mark("deadline", leaving.cut_short)
        return TierRun(result, state.survivors, state.tensors, stop)

    def _sample(self, cut: int, tensors: Sequence[Array]) -> Sequence[Array] | None:
        """The raw input rows, where they are what crosses the cut."""
        return tensors if self.manifest.tensors_at(cut) == self.manifest.inputs else None


class _Leaving:
    """Who leaves at an exit: those the plan lets go, and everyone when the time does not reach further."""

    def __init__(self, tier: Tier, route: Route, rows: int, stop: int, deadline_s: float | None) -> None:
        self.tier, self.route, self.stop, self.deadline_s = tier, route, stop, deadline_s
        self.here = np.arange(rows, dtype=np.intp)
        self.cut_short: NDArray[np.intp] | None = None

    def __call__(self, exit_index: int, output: SegmentOutput) -> NDArray[np.bool_]:
        assert output.confidence is not None
        assert output.probabilities is not None
        stopped = self.route.leaves(exit_index, output.confidence, output.probabilities)
        if self.deadline_s is None:
            return stopped
        self.here = self.here[~stopped]
        begin = self.tier.manifest.exit_segments[exit_index] + 1
        if len(self.here) and not self.tier.in_time(self.route, begin, self.stop, len(self.here), self.deadline_s):
            self.cut_short = self.here
            return np.ones(len(stopped), bool)
        return stopped


def _everyone(exit_index: int, output: SegmentOutput) -> NDArray[np.bool_]:
    assert output.label is not None
    return np.ones(len(output.label), bool)


def _zeros(spec: TensorSpec) -> Array:
    return np.zeros([1, *(size or 1 for size in spec.row_shape)], spec.dtype)
