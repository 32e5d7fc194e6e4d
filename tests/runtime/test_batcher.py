"""Computing for many at a time: every answer is the one its request would have had alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offramp.cascade.store import Cascade
from offramp.codecs.registry import codec_names
from offramp.errors import DeadlineExceeded, Overloaded, SampleError
from offramp.planning.plan import Plan
from offramp.runtime.answering import Answering
from offramp.runtime.limits import Limits
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.requests import build_request
from offramp.runtime.responses import OUTPUTS, parse_response
from offramp.runtime.tensors import codec_named
from offramp.runtime.tier import Tier
from tests.runtime.support import local_chain, plan_of
from tests.support.tiny import make_tiny_cascade, tiny_rows

GATES = (0.6, 0.8)
CLOUD = ("cloud",) * 3


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


@contextmanager
def answering_for(cascade: Cascade, plan: Plan, limits: Limits | None = None, tier: str = "cloud") -> Iterator[Any]:
    answering = Answering(Tier(cascade, tier, [plan]), limits=limits)
    try:
        yield answering
    finally:
        answering.close()


def request(cascade: Cascade, plan: Plan, rows: Any, request_id: str, codec: str = "raw", cut: int = 0) -> Any:
    used = codec_named(codec)
    specs = cascade.manifest.tensors_at(cut)
    message = build_request(cascade.name, cut, plan.plan_id, 30.0, used, specs, [rows], [used.encode(rows)])
    message.id = request_id
    return message


def held(answering: Answering, then: Callable[[], None]) -> None:
    """Keep the compute thread busy while ``then`` is called, so that what it submits must wait."""
    gate, held_up = threading.Event(), threading.Event()

    def block() -> None:
        held_up.set()
        gate.wait(10)

    answering.batcher._thread.submit(block)
    held_up.wait(10)
    answering._in_company = True  # nobody goes straight through
    try:
        then()
    finally:
        answering._in_company = False
        gate.set()


def together(answering: Answering, messages: list[Any]) -> list[Any]:
    """What requests are answered that all wait at the same time: responses or errors."""

    async def ask() -> list[Any]:
        jobs: list[Any] = []

        def start() -> None:
            for message in messages:
                try:
                    jobs.append(answering.start(message))
                except Exception as error:
                    jobs.append(error)

        held(answering, start)
        waiting = [_error(job) if isinstance(job, Exception) else answering.complete(job) for job in jobs]
        return await asyncio.gather(*waiting, return_exceptions=True)

    async def _error(error: Exception) -> Any:
        raise error

    return asyncio.run(ask())


def read(cascade: Cascade, reply: Any, rows: int) -> Any:
    assert isinstance(reply, pb.ModelInferResponse), reply
    return parse_response(reply, rows, cascade.manifest, "cloud")


def check(cascade: Cascade, replies: list[Any], sent: list[Any]) -> None:
    for index, (reply, rows) in enumerate(zip(replies, sent, strict=True)):
        found = read(cascade, reply, len(rows))
        expected = local_chain(cascade, rows, GATES)
        assert reply.id == str(index)
        assert found.label.tolist() == [row[0] for row in expected]
        assert found.exit.tolist() == [row[1] for row in expected]
        np.testing.assert_allclose(found.probabilities, [row[2] for row in expected], atol=1e-5)


def test_results_are_not_swapped_between_requests(cascade: Cascade) -> None:
    """The bug of MLServer#1306: one caller got the answers of three, the others none."""
    plan = plan_of(cascade, CLOUD, GATES)
    sent = np.split(tiny_rows(60), np.cumsum([1, 7, 2, 13, 1, 20]))
    with answering_for(cascade, plan) as answering:
        replies = together(answering, [request(cascade, plan, rows, str(i)) for i, rows in enumerate(sent)])
        check(cascade, replies, sent)
        assert answering.batcher.largest_batch_rows == 60
        assert answering.tier.counters.batches == 3  # one for each segment: survivors of all of them went on together


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sizes=st.lists(st.integers(1, 12), min_size=1, max_size=12), max_rows=st.integers(1, 20), seed=st.integers(0, 9))
def test_any_mix_of_requests_is_answered_as_if_alone(
    cascade: Cascade, sizes: list[int], max_rows: int, seed: int
) -> None:
    plan = plan_of(cascade, CLOUD, GATES)
    rows = np.random.default_rng(seed).normal(size=(sum(sizes), 4)).astype(np.float32)
    sent = np.split(rows, np.cumsum(sizes[:-1]))
    with answering_for(cascade, plan, Limits(max_batch_rows=max_rows)) as answering:
        check(cascade, together(answering, [request(cascade, plan, r, str(i)) for i, r in enumerate(sent)]), sent)
        executed = answering.tier.counters.rows_executed
        expected = [row[1] for row in local_chain(cascade, rows, GATES)]
        assert executed == [sum(exit_index >= segment for exit_index in expected) for segment in range(3)]
        assert answering.batcher.largest_batch_rows <= max_rows
        assert not answering.batcher.waiting_rows


def test_rows_are_counted_not_requests(cascade: Cascade) -> None:
    """The bug of BentoML#3710: a request of many rows counted as one."""
    plan = plan_of(cascade, CLOUD, (0.0, 0.0))  # all leave at the first exit
    sent = [tiny_rows(4)] * 5
    with answering_for(cascade, plan, Limits(max_batch_rows=8)) as answering:
        together(answering, [request(cascade, plan, rows, str(i)) for i, rows in enumerate(sent)])
        assert (answering.tier.counters.batches, answering.tier.counters.batch_rows) == (3, 20)
        assert answering.batcher.largest_batch_rows == 8


@pytest.mark.parametrize("rows", [9, 17, 100])
def test_no_batch_is_above_the_maximum(cascade: Cascade, rows: int) -> None:
    """The bug of BentoML#3859: a request that was a batch already made batches above the maximum."""
    plan = plan_of(cascade, CLOUD, GATES)
    sizes: list[int] = []
    with answering_for(cascade, plan, Limits(max_batch_rows=8)) as answering:
        run = answering.tier.run

        def watched(route: Any, cut: int, tensors: Any, *more: Any, **named: Any) -> Any:
            sizes.append(len(tensors[0]))
            return run(route, cut, tensors, *more, **named)

        answering.tier.run = watched
        reply = asyncio.run(answering.answer(request(cascade, plan, tiny_rows(rows), "0")))
        check(cascade, [reply], [tiny_rows(rows)])
    assert max(sizes) == 8


def test_requested_outputs_are_obeyed_for_each_request(cascade: Cascade) -> None:
    """The bug of MLServer#514: what was computed together ignored the outputs asked for."""
    plan = plan_of(cascade, CLOUD, GATES)
    messages = [request(cascade, plan, tiny_rows(2), str(i)) for i in range(3)]
    messages[0].outputs.add(name="exit")
    messages[2].outputs.add(name="tier")
    messages[2].outputs.add(name="label")
    with answering_for(cascade, plan) as answering:
        replies = together(answering, messages)
    names = [[output.name for output in reply.outputs] for reply in replies]
    assert names == [["exit"], list(OUTPUTS), ["tier", "label"]]


def test_the_second_answer_is_as_full_as_the_first(cascade: Cascade) -> None:
    """The bug of MLServer#1911: of two requests at a time, the second got no data."""
    plan = plan_of(cascade, CLOUD, GATES)
    same = tiny_rows(3)
    with answering_for(cascade, plan) as answering:
        for _ in range(2):  # also the second batch of the same tier
            first, second = together(answering, [request(cascade, plan, same, "0"), request(cascade, plan, same, "1")])
            assert list(first.raw_output_contents) == list(second.raw_output_contents)
            check(cascade, [first, second], [same, same])


def test_a_bad_request_does_not_fail_those_beside_it(cascade: Cascade) -> None:
    plan = plan_of(cascade, CLOUD, GATES)
    bad = tiny_rows(2)
    bad[1, 2] = np.nan
    messages = [request(cascade, plan, rows, str(i)) for i, rows in enumerate([tiny_rows(2), bad, tiny_rows(1)])]
    with answering_for(cascade, plan) as answering:
        replies = together(answering, messages)
    assert isinstance(replies[1], SampleError)
    assert read(cascade, replies[0], 2).exit.min() >= 0
    assert read(cascade, replies[2], 1).exit.min() >= 0


def test_rows_the_model_cannot_take_fail_alone(cascade: Cascade) -> None:
    plan = plan_of(cascade, CLOUD, GATES)
    poison = np.full((1, 4), 7.0, np.float32)
    with answering_for(cascade, plan) as answering:
        segment = answering.tier.segment(answering.tier.route(), 0)
        session_run = segment.run

        def run(tensors: Any, temperature: float = 1.0) -> Any:
            if (tensors[0] == 7.0).any():
                raise RuntimeError("index out of range")
            return session_run(tensors, temperature)

        segment.run = run
        replies = together(
            answering, [request(cascade, plan, r, str(i)) for i, r in enumerate([tiny_rows(2), poison, tiny_rows(2)])]
        )
    assert isinstance(replies[1], RuntimeError)
    for index in (0, 2):
        assert read(cascade, replies[index], 2).tier == ["cloud"] * 2


@pytest.mark.parametrize("codec", [name for name in codec_names() if name not in ("webp", "jpeg")])
def test_an_answer_does_not_depend_on_its_batch_mates(cascade: Cascade, codec: str) -> None:
    plan = plan_of(cascade, CLOUD, GATES)
    mine = tiny_rows(3)
    wild = [mine * scale for scale in (1e-3, 50.0, 1e3)]  # would move a range taken over the whole batch
    with answering_for(cascade, plan) as answering:
        (alone,) = together(answering, [request(cascade, plan, mine, "0", codec)])
        messages = [request(cascade, plan, rows, str(i), codec) for i, rows in enumerate([*wild, mine])]
        beside = together(answering, messages)[-1]
    first, second = read(cascade, alone, 3), read(cascade, beside, 3)
    np.testing.assert_allclose(first.probabilities, second.probabilities, atol=1e-5)
    assert first.label.tolist() == second.label.tolist()
    assert first.exit.tolist() == second.exit.tolist()


def test_plans_and_cuts_are_not_mixed(cascade: Cascade) -> None:
    one, other = plan_of(cascade, CLOUD, GATES), plan_of(cascade, CLOUD, (None, None))
    hidden = cascade.segment(0).run((tiny_rows(4),)).hand_over[0]
    with answering_for(cascade, one) as answering:
        answering.tier.add(other)
        messages = [
            request(cascade, one, tiny_rows(4), "0"),
            request(cascade, other, tiny_rows(4), "1"),
            request(cascade, one, hidden, "2", cut=1),
        ]
        first, second, third = together(answering, messages)
    assert read(cascade, first, 4).exit.tolist() == [row[1] for row in local_chain(cascade, tiny_rows(4), GATES)]
    assert read(cascade, second, 4).exit.tolist() == [2] * 4
    np.testing.assert_allclose(
        read(cascade, third, 4).probabilities,
        [row[2] for row in local_chain(cascade, tiny_rows(4), (None, GATES[1]))],
        atol=1e-5,
    )


def test_survivors_go_on_with_those_that_came_to_their_cut(cascade: Cascade) -> None:
    plan = plan_of(cascade, CLOUD, (None, None))
    hidden = cascade.segment(0).run((tiny_rows(4),)).hand_over[0]
    with answering_for(cascade, plan) as answering:
        together(answering, [request(cascade, plan, tiny_rows(3), "0"), request(cascade, plan, hidden, "1", cut=1)])
        assert answering.tier.counters.rows_executed == [3, 7, 7]
        assert answering.tier.counters.batches == 3


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
            job = answering.start(request(cascade, plan, tiny_rows(1), str(index)))
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
                jobs.extend([answering.start(late), answering.start(hopeless)])
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
            jobs.extend(answering.start(request(cascade, plan, tiny_rows(2), name)) for name in "01")
            jobs[0].work.future.cancel()

        held(answering, start)
        return await answering.complete(jobs[1])

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
