"""Who waits at a tier and for how long, who goes first, and who is refused."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from offramp.cascade.store import Cascade
from offramp.errors import DeadlineExceeded, Overloaded
from offramp.runtime.answering import Answering
from offramp.runtime.limits import Limits
from offramp.runtime.templates import Arrival
from tests.runtime.support import plan_of
from tests.runtime.waiting import CLOUD, GATES, answering_for, check, completed, held, read, request, together
from tests.support.tiny import make_tiny_cascade, tiny_rows


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


def test_the_earliest_deadline_goes_first(cascade: Cascade) -> None:
    plan = plan_of(cascade, CLOUD, (0.0, 0.0))
    messages = [request(cascade, plan, tiny_rows(1), str(i)) for i in range(4)]
    for message, deadline_ms in zip(messages, (9e3, 7e3, 8e3, 6e3), strict=True):
        message.parameters["deadline_ms"].double_param = deadline_ms
    order: list[str] = []
    with answering_for(cascade, plan, Limits(max_batch_rows=1)) as answering:
        computed = answering._computed

        def watched(job: Any, run: Any) -> None:
            order.append(job.request_id)
            computed(job, run)

        answering._computed = watched
        together(answering, messages)
    assert order == ["3", "1", "2", "0"]


def test_a_single_request_goes_straight_through(cascade: Cascade) -> None:
    plan = plan_of(cascade, CLOUD, GATES)

    async def ask(answering: Answering) -> None:
        for index in range(5):
            job = answering.start(Arrival(request(cascade, plan, tiny_rows(1), str(index))))
            assert job.response is not None
            await asyncio.sleep(0)

    with answering_for(cascade, plan) as answering:
        answering.tier.warm(answering.tier.route(), 0, 3)
        asyncio.run(ask(answering))
        assert answering.tier.counters.batches == 0


def test_who_comes_in_the_same_turn_is_computed_together(cascade: Cascade) -> None:
    """The bug of BentoML#4670: with little traffic nothing was ever batched."""
    plan = plan_of(cascade, CLOUD, GATES)
    sent = [tiny_rows(1)] * 8

    async def ask(answering: Answering) -> list[Any]:
        messages = [request(cascade, plan, rows, str(i)) for i, rows in enumerate(sent)]
        return await asyncio.gather(*map(answering.answer, messages))

    with answering_for(cascade, plan) as answering:
        answering.tier.warm(answering.tier.route(), 0, 3)
        check(cascade, asyncio.run(ask(answering)), sent)
        assert answering.tier.counters.batch_rows >= 7


def test_a_tier_may_wait_for_company(cascade: Cascade) -> None:
    plan = plan_of(cascade, CLOUD, (0.0, 0.0))

    async def ask(answering: Answering) -> list[Any]:
        first = asyncio.ensure_future(answering.answer(request(cascade, plan, tiny_rows(1), "0")))
        await asyncio.sleep(0.02)
        second = asyncio.ensure_future(answering.answer(request(cascade, plan, tiny_rows(1), "1")))
        return [await first, await second]

    with answering_for(cascade, plan, Limits(max_batch_rows=2, max_wait_s=20.0)) as answering:
        answering.tier.warm(answering.tier.route(), 0, 3)
        asyncio.run(asyncio.wait_for(ask(answering), 15))  # full: nobody waits the 20 s
        assert answering.tier.counters.batches == 1


def test_waiting_for_company_ends_before_the_deadline(cascade: Cascade) -> None:
    plan = plan_of(cascade, CLOUD, (0.0, 0.0))
    message = request(cascade, plan, tiny_rows(1), "0")
    message.parameters["deadline_ms"].double_param = 500.0
    with answering_for(cascade, plan, Limits(max_wait_s=20.0)) as answering:
        answering.tier.warm(answering.tier.route(), 0, 3)
        for index in range(3):
            answering.tier.segment(answering.tier.route(), index).row_s = 0.05  # so it must begin 0.3 s ahead
        assert read(cascade, asyncio.run(answering.answer(message)), 1).degraded == [""]


def test_a_full_queue_refuses(cascade: Cascade) -> None:
    plan = plan_of(cascade, CLOUD, GATES)
    sent = [tiny_rows(3)] * 5
    with answering_for(cascade, plan, Limits(max_queue_rows=9)) as answering:
        replies = together(answering, [request(cascade, plan, rows, str(i)) for i, rows in enumerate(sent)])
        assert answering.batcher.refused == 2
    check(cascade, replies[:3], sent[:3])
    for reply in replies[3:]:
        assert isinstance(reply, Overloaded)
        assert "9 rows wait, at most 9 may" in str(reply)


def test_a_request_larger_than_the_queue_is_taken_when_nobody_waits(cascade: Cascade) -> None:
    plan = plan_of(cascade, CLOUD, GATES)
    with answering_for(cascade, plan, Limits(max_queue_rows=2)) as answering:
        check(cascade, together(answering, [request(cascade, plan, tiny_rows(9), "0")]), [tiny_rows(9)])


def test_a_large_request_is_no_crowd_by_itself(cascade: Cascade) -> None:
    plan = plan_of(cascade, CLOUD, (None, None))
    with answering_for(cascade, plan, Limits(max_batch_rows=4, max_queue_rows=10)) as answering:
        reply = together(answering, [request(cascade, plan, tiny_rows(30), "0")])[0]
        assert set(read(cascade, reply, 30).degraded) == {""}


def test_in_a_crowd_rows_leave_with_the_answer_they_have(cascade: Cascade) -> None:
    plan = plan_of(cascade, CLOUD, (None, None))
    messages = [request(cascade, plan, tiny_rows(4), str(i)) for i in range(5)]
    with answering_for(cascade, plan, Limits(max_batch_rows=4, max_queue_rows=20)) as answering:
        replies = together(answering, messages)
        found = [read(cascade, reply, 4) for reply in replies]
        assert answering.tier.counters.degraded == {"overload": 8}
    assert [set(rows.degraded) for rows in found] == [{"overload"}, {"overload"}, {""}, {""}, {""}]
    assert [set(rows.exit.tolist()) for rows in found] == [{0}, {0}, {2}, {2}, {2}]


def test_who_waited_too_long_is_refused_before_it_is_computed(cascade: Cascade) -> None:
    plan = plan_of(cascade, CLOUD, GATES)
    with answering_for(cascade, plan) as answering:
        answering.tier.warm(answering.tier.route(), 0, 3)
        late, hopeless = (request(cascade, plan, tiny_rows(1), name) for name in "01")
        late.parameters["deadline_ms"].double_param = 1e-3
        hopeless.parameters["deadline_ms"].double_param = 1e3
        answering.tier.segment(answering.tier.route(), 0).row_s = 2.0

        async def ask() -> list[Any]:
            jobs: list[Any] = []

            def start() -> None:
                jobs.extend([answering.start(Arrival(late)), answering.start(Arrival(hopeless))])
                jobs[1].work.begin_s -= 0.5  # it came half a second ago

            held(answering, start)
            return await asyncio.gather(*map(answering.complete, jobs), return_exceptions=True)

        first, second = asyncio.run(ask())
        assert answering.tier.counters.rows_executed == [0, 0, 0]
    assert isinstance(first, DeadlineExceeded)
    assert isinstance(second, Overloaded)
    assert "deadline cannot be met" in str(second)


def test_what_nobody_waits_for_is_not_computed(cascade: Cascade) -> None:
    plan = plan_of(cascade, CLOUD, GATES)

    async def ask(answering: Answering) -> Any:
        jobs: list[Any] = []

        def start() -> None:
            jobs.extend(answering.start(Arrival(request(cascade, plan, tiny_rows(2), name))) for name in "01")
            jobs[0].work.future.cancel()

        held(answering, start)
        return await completed(answering, jobs[1])

    with answering_for(cascade, plan) as answering:
        read(cascade, asyncio.run(ask(answering)), 2)
        assert answering.tier.counters.rows_executed[0] == 2


def test_too_many_under_way_are_refused(cascade: Cascade) -> None:
    plan = plan_of(cascade, CLOUD, GATES)
    with answering_for(cascade, plan, Limits(max_in_flight=3)) as answering:
        answering.in_flight = 3
        with pytest.raises(Overloaded, match="3 requests are under way, at most 3 may"):
            asyncio.run(answering.answer(request(cascade, plan, tiny_rows(1), "0")))


def test_a_defect_leaves_nobody_waiting(cascade: Cascade, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of(cascade, CLOUD, GATES)
    messages = [request(cascade, plan, tiny_rows(2), str(i)) for i in range(3)]

    def broken(parts: Any) -> Any:
        raise MemoryError("no room")

    with answering_for(cascade, plan) as answering:
        with monkeypatch.context() as patch:
            patch.setattr(answering.batcher._queue, "take", broken)
            assert [type(reply) for reply in together(answering, messages)] == [MemoryError] * 3
        assert not answering.busy
        with monkeypatch.context() as patch:
            patch.setattr("offramp.runtime.batcher.compute", lambda *given, **more: broken(given))
            assert [type(reply) for reply in together(answering, messages)] == [MemoryError] * 3
        check(cascade, together(answering, messages), [tiny_rows(2)] * 3)
