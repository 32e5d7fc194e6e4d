"""Who waits, and who is next."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offramp.runtime.route import Route
from offramp.runtime.rows import Rows
from offramp.runtime.work import PATIENCE_S, Work
from offramp.runtime.work_queue import WorkQueue
from tests.runtime.support import plan_of
from tests.support.tiny import make_tiny_cascade


@pytest.fixture
def route(tmp_path: Path) -> Route:
    return Route.of(plan_of(make_tiny_cascade(tmp_path, segments=3), ("cloud",) * 3, (0.5, 0.5)), "cloud", 3)


def work_of(route: Route, rows: int, deadline_s: float | None = None, cut: int = 0, begin_s: float = 0.0) -> Work:
    answers = Rows.unanswered(rows, 3)
    return Work(
        route, cut, ((rows, 4),), deadline_s, begin_s, lambda: ((np.zeros((rows, 4)),), None), lambda run: None, answers
    )


waiting = st.lists(
    st.tuples(st.integers(1, 12), st.one_of(st.none(), st.floats(0, 50)), st.integers(0, 2)), min_size=1, max_size=20
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(waiting=waiting, most=st.integers(1, 10))
def test_every_row_is_taken_once_the_most_urgent_first(
    route: Route, waiting: list[tuple[int, float | None, int]], most: int
) -> None:
    queue = WorkQueue()
    works = [work_of(route, *one) for one in waiting]
    for work in works:
        queue.put(work.whole())
    seen: dict[int, list[int]] = {work.sequence: [] for work in works}
    while queue:
        due = min((work.due_s, work.sequence) for work in works if len(seen[work.sequence]) < len(work.answers))
        before = queue.rows
        parts = queue.take(most)
        assert (parts[0].work.due_s, parts[0].work.sequence) == due
        assert len({part.stage for part in parts}) == 1
        assert 0 < sum(map(len, parts)) <= most
        assert queue.rows == before - sum(map(len, parts))
        for part in parts:
            seen[part.work.sequence] += part.at.tolist()
    assert queue.rows == 0
    assert queue.take(most) == []
    assert all(seen[work.sequence] == list(range(len(work.answers))) for work in works)


def test_without_a_deadline_nobody_waits_for_ever(route: Route) -> None:
    queue = WorkQueue()
    patient = work_of(route, 1, None, begin_s=0.0)
    queue.put(patient.whole())
    for second in range(100):
        queue.put(work_of(route, 1, second + 1.0, begin_s=float(second)).whole())
        (part,) = queue.take(1)
        if part.work is patient:
            break
    assert second == PATIENCE_S - 1


def test_a_part_that_does_not_fit_waits_while_smaller_ones_go(route: Route) -> None:
    queue = WorkQueue()
    sizes = (3, 4, 2)
    for size in sizes:
        queue.put(work_of(route, size).whole())
    assert [len(part) for part in queue.take(5)] == [3, 2]
    assert [len(part) for part in queue.take(5)] == [4]
