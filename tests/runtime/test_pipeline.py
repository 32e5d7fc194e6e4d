"""Several samples under way: bounded, overlapping, in order, and each with its own answer whatever fails."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.cascade.store import Cascade
from offramp.errors import ConfigError, SampleError
from offramp.runtime.answer import DEGRADED_REASONS, Answer
from offramp.runtime.answering import Answering
from offramp.runtime.device import Device
from offramp.runtime.loop import run_in_background
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.tier import Tier
from offramp.runtime.tolerance import FaultTolerance
from tests.runtime.faulty_peer import Faulty, Send, streaming_peer
from tests.runtime.support import eventually, fake_peer, local_chain, plan_of
from tests.support.tiny import make_tiny_cascade, tiny_rows

PLACEMENT = ("device", "edge", "edge")
GATES = (0.6, 0.8)
GOES_ON = (None, None)


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


@contextmanager
def edge_of(cascade: Cascade, gates: tuple[float | None, ...]) -> Iterator[Answering]:
    answering = Answering(Tier(cascade, "edge", [plan_of(cascade, PLACEMENT, gates)]))
    yield answering
    answering.close()


def test_offloads_overlap_and_are_bounded(cascade: Cascade) -> None:
    """Nothing is answered until four are in flight, and then in the reverse order; there are never more."""
    rows, held, most = tiny_rows(40), list[pb.ModelInferResponse](), [0]

    async def in_fours(request: pb.ModelInferRequest, send: Send) -> None:
        held.append(await edge.answer(request))
        most[0] = max(most[0], len(held))
        if len(held) == 4:
            replies = held[::-1]
            held.clear()
            for reply in replies:
                await send(pb.ModelStreamInferResponse(infer_response=reply))

    plan = plan_of(cascade, PLACEMENT, GOES_ON)
    with (
        edge_of(cascade, GOES_ON) as edge,
        streaming_peer(in_fours) as address,
        Device(cascade, plan, address, max_in_flight=4) as device,
    ):
        answers = list(device.infer_many(rows))
    assert most[0] == 4
    assert [(a.label, a.exit) for a in answers] == [row[:2] for row in local_chain(cascade, rows, GOES_ON)]
    assert {answer.degraded for answer in answers} == {None}


async def _silence(request: pb.ModelInferRequest) -> None:
    """Take the request, say nothing."""


def test_who_asks_for_more_waits_to_be_accepted(cascade: Cascade) -> None:
    plan, rows = plan_of(cascade, PLACEMENT, GOES_ON), tiny_rows(3)
    tolerance = FaultTolerance(breaker_failures=1000)
    with fake_peer(_silence) as address:
        device = Device(cascade, plan, address, deadline_s=0.5, max_in_flight=2, tolerance=tolerance)
        pending = [device.submit(row) for row in rows]  # the third waits here
        assert any(future.done() for future in pending[:2])
        answers = [future.result() for future in pending]
        device.close()
    assert [answer.degraded for answer in answers] == ["deadline"] * 3


def test_bad_samples_and_cancelled_ones_give_their_place_back(cascade: Cascade) -> None:
    plan, row = plan_of(cascade, PLACEMENT, GOES_ON), tiny_rows(1)[0]
    with fake_peer(_silence) as address, Device(cascade, plan, address, deadline_s=0.5, max_in_flight=1) as device:
        for _ in range(3):
            with pytest.raises(SampleError):
                device.submit(row[:2]).result()
            with pytest.raises(SampleError):
                asyncio.run(device.infer_async(row[:2]))
        cancelled = device.submit(row)
        cancelled.cancel()
        assert device.submit(row).result().degraded == "deadline"
        with pytest.raises(CancelledError):
            cancelled.result()


def test_closing_answers_what_was_submitted(cascade: Cascade) -> None:
    plan, rows = plan_of(cascade, PLACEMENT, GATES), tiny_rows(50)
    with Device(cascade, plan, "127.0.0.1:9", max_in_flight=50) as device:
        pending = [device.submit(row) for row in rows]
    answers = [future.result(0) for future in pending]
    _check(answers, local_chain(cascade, rows, (0.0, 0.0)), local_chain(cascade, rows, GATES))


def test_one_in_flight_is_the_least(cascade: Cascade) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        Device(cascade, plan_of(cascade, ("device",) * 3, GATES), max_in_flight=0)


def test_plans_change_under_load(cascade: Cascade) -> None:
    """Those under way end as they began."""
    plans = [plan_of(cascade, placement, GATES) for placement in (PLACEMENT, ("device",) * 3, ("edge",) * 3)]
    rows = tiny_rows(300)
    answering = Answering(Tier(cascade, "edge", plans))

    async def answer(request: pb.ModelInferRequest) -> pb.ModelStreamInferResponse:
        return pb.ModelStreamInferResponse(infer_response=await answering.answer(request))

    with fake_peer(answer) as address, Device(cascade, plans[0], address, max_in_flight=16) as device:
        stop = threading.Event()

        def swap() -> None:
            turn = 0
            while not stop.wait(0.002):
                turn += 1
                device.switch(plans[turn % 3])

        swapper = threading.Thread(target=swap)
        swapper.start()
        answers = list(device.infer_many(rows))
        stop.set()
        swapper.join()
    answering.close()
    assert [(a.label, a.exit) for a in answers] == [row[:2] for row in local_chain(cascade, rows, GATES)]
    assert {answer.degraded for answer in answers} == {None}


def one_by_one(device: Device, rows: Any) -> list[Answer]:
    return [device.infer(row) for row in rows]


def many(device: Device, rows: Any) -> list[Answer]:
    return list(device.infer_many(rows))


def batches(device: Device, rows: Any) -> list[Answer]:
    return [answer for at in range(0, len(rows), 7) for answer in device.infer_batch(rows[at : at + 7])]


def gathered(device: Device, rows: Any) -> list[Answer]:
    async def main() -> list[Answer]:
        return list(await asyncio.gather(*(device.infer_async(row) for row in rows)))

    return asyncio.run(main())


WAYS: list[Callable[[Device, Any], list[Answer]]] = [one_by_one, many, batches, gathered]


@pytest.mark.parametrize("ask", WAYS)
@pytest.mark.parametrize("peers", [1, 2])
def test_whatever_fails_everyone_gets_their_own_answer(
    cascade: Cascade, ask: Callable[[Device, Any], list[Answer]], peers: int
) -> None:
    rows = tiny_rows(60 if ask is one_by_one else 240)
    at_once = local_chain(cascade, rows, (0.0, 0.0))
    to_the_end = local_chain(cascade, rows, GATES)
    plan = plan_of(cascade, PLACEMENT, GATES)
    tolerance = FaultTolerance(breaker_open_s=0.01, breaker_longest_s=0.05, retry_share=1.0, hedge_quantile=0.9)
    with edge_of(cascade, GATES) as edge:
        faulty = [Faulty(edge, seed) for seed in range(peers)]
        with (
            streaming_peer(faulty[0]) as one,
            streaming_peer(faulty[-1]) as other,
            Device(
                cascade, plan, [one, other][:peers], deadline_s=0.5, max_in_flight=32, tolerance=tolerance
            ) as device,
        ):
            answers = ask(device, rows)
            upstream = device._asking.upstream
            assert upstream is not None
            run_in_background(eventually(lambda: upstream.in_flight == 0))
    _check(answers, at_once, to_the_end)
    assert any(answer.degraded for answer in answers)
    assert any(answer.tier == "edge" for answer in answers)
    assert device.counters.rows == len(rows)


def _check(answers: Sequence[Answer], at_once: Sequence[Any], to_the_end: Sequence[Any]) -> None:
    """One answer for each row, in order, right for its exit; degraded or as planned."""
    assert len(answers) == len(to_the_end)
    for answer, early, late in zip(answers, at_once, to_the_end, strict=True):
        label, exit_index, probabilities = early if answer.degraded else late
        assert answer.degraded is None or answer.degraded in DEGRADED_REASONS
        assert (answer.label, answer.exit) == (label, exit_index)
        np.testing.assert_allclose(answer.probabilities, probabilities, atol=1e-6)
