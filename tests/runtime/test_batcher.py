"""Computing for many at a time: every answer is the one its request would have had alone."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from offramp.cascade.store import Cascade
from offramp.codecs.registry import codec_names
from offramp.errors import SampleError
from offramp.runtime.limits import Limits
from offramp.runtime.responses import OUTPUTS
from tests.runtime.support import local_chain, plan_of
from tests.runtime.waiting import CLOUD, GATES, answering_for, check, read, request, together
from tests.support.tiny import make_tiny_cascade, tiny_rows


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


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
