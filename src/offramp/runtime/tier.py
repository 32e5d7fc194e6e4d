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
from offramp.confidence.gates import ExitEvidence
from offramp.errors import ConfigError, RecordMismatch
from offramp.planning.plan import Plan
from offramp.runtime.counters import Counters
from offramp.runtime.engine import Engine, Local
from offramp.runtime.learned import LearnedRoutes
from offramp.runtime.leaving import Leaving
from offramp.runtime.paced import PacedSegment
from offramp.runtime.route import Route
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


class Tier:
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
        self.manifest = cascade.manifest
        self.name = name
        self.clock = clock or SystemClock()
        self.pace = Pace(slow_down, self.clock)
        self.fingerprint = cascade.manifest.fingerprint
        self.classes = len(cascade.manifest.labels)
        exits = {segment: index for index, segment in enumerate(cascade.manifest.exit_segments)}
        #: for each segment the index of its exit, or ``None``
        self.exit_of = tuple(exits.get(segment) for segment in range(len(cascade.manifest.segments)))
        self._next_exits = tuple(
            next(later for later in range(cut, len(self.exit_of)) if self.exit_of[later] is not None) + 1
            for cut in range(len(self.exit_of))
        )
        self.counters = Counters(name, len(self.exit_of), len(exits))
        #: what it asks the next tier
        self.templates = RequestTemplates(cascade.manifest)
        self._segments: dict[tuple[int, str], PacedSegment] = {}
        self._routes: dict[str, Route] = {}
        #: plans it was told of while running
        self.learned = LearnedRoutes()
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
        route = self._checked(plan)
        return self._routes.setdefault(route.plan_id, route)

    def learn(self, plan: Plan) -> Route:
        """Take in a plan that was announced; unlike those given, it may be forgotten again (see `LearnedRoutes`).

        Raises
        ------
        RecordMismatch, ConfigError : as `add`, or none is taken here
        """
        route = self._checked(plan)
        return self._routes.get(route.plan_id) or self.learned.put(route)

    def _checked(self, plan: Plan) -> Route:
        """The route of a plan that fits."""
        plan.require(self.fingerprint)
        exits = sum(1 for index in self.exit_of if index is not None)
        if len(plan.placement) != len(self.exit_of) or len(plan.temperatures) != exits:
            raise ConfigError(
                f"the plan places {len(plan.placement)} segments and has {len(plan.temperatures)} exits, but "
                f"{self.manifest.name!r} has {len(self.exit_of)} and {exits}; run 'offramp plan' again"
            )
        self._require_samples(plan)
        route = Route.of(plan, self.name, len(self.exit_of))
        self._try_gates(route)
        return route

    def _try_gates(self, route: Route) -> None:
        """Score one row with every gate, so that a gate of another cascade is refused before there are any."""
        for index, gate in enumerate(route.gates):
            even = np.full((1, self.classes), 1 / self.classes, np.float32)
            gate.score(ExitEvidence(index, even[:, 0], even, np.zeros((index, 1), np.int64)))

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
            if (route := self.learned.get(plan_id)) is not None:
                return route
            raise RecordMismatch(
                f"tier {self.name!r} has no plan {plan_id!r}; it has {', '.join(self._routes)}: "
                "give the server the plan file the device uses"
            ) from None

    def knows(self, plan_id: str) -> bool:
        """Whether it has this plan; every tier has a default, which goes without an id."""
        return not plan_id or plan_id in self._routes or plan_id in self.learned

    @property
    def plan_ids(self) -> tuple[str, ...]:
        """Ids of the plans it was given, the default first."""
        return tuple(self._routes)

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
