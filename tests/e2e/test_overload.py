"""Ten times more than a tier can do, and the end of a tier in the middle of it."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np
import pytest

from offramp.runtime.device import Device
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.responses import parse_response
from tests.e2e.support import GATES, World, make_world
from tests.e2e.test_server_process import start, until
from tests.runtime.support import local_chain
from tests.runtime.test_service import request_for
from tests.support.tiny import tiny_rows

pytestmark = pytest.mark.e2e

STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
#: so that a row takes some 10 ms
SLOW = ("--slow-down", "300")


async def ask_all(address: str, requests: list[Any], on_reply: Any = None) -> list[Any]:
    """Send everything at once over one stream, and collect replies until there is one for each or the stream ends."""
    replies: list[Any] = []
    async with grpc.aio.insecure_channel(address) as channel:
        call: Any = channel.stream_stream(
            STREAM, pb.ModelInferRequest.SerializeToString, pb.ModelStreamInferResponse.FromString
        )(None)

        async def send() -> None:
            for request in requests:
                await call.write(request)

        sending = asyncio.create_task(send())
        async with asyncio.timeout(60):
            while len(replies) < len(requests):
                reply = await call.read()
                if reply is grpc.aio.EOF:  # type: ignore[attr-defined]  # missing in grpc-stubs
                    break
                replies.append(reply)
                if on_reply is not None:
                    on_reply(len(replies))
        sending.cancel()
    return replies


def requests_for(world: World, rows: Any, deadline_ms: float = 30e3) -> list[Any]:
    found = [request_for(world.cascade, world.plan, row[None], str(index)) for index, row in enumerate(rows)]
    for request in found:
        request.parameters["deadline_ms"].double_param = deadline_ms
    return found


def check_answers(world: World, replies: list[Any], rows: Any) -> int:
    """Every answer belongs to its request; returns how many there are."""
    expected = local_chain(world.cascade, rows, GATES)
    answered = [reply for reply in replies if not reply.error_message]
    for reply in answered:
        label, exit_index, probabilities = expected[int(reply.infer_response.id)]
        found = parse_response(reply.infer_response, 1, world.cascade.manifest, "cloud")
        np.testing.assert_allclose(found.probabilities[0].sum(), 1.0, atol=1e-5)
        if found.degraded == [""]:
            assert (found.label[0], found.exit[0]) == (label, exit_index)
            np.testing.assert_allclose(found.probabilities[0], probabilities, atol=1e-5)
        else:
            assert found.degraded == ["overload"]
            assert found.exit[0] < exit_index
    return len(answered)


def test_ten_times_too_much_is_answered_or_refused_at_once(tmp_path: Path) -> None:
    world = make_world(tmp_path, placement=("cloud",) * 3)
    rows = tiny_rows(400)
    server = start(world, *SLOW, "--max-queue-rows", "40", "--max-batch-rows", "4")
    try:
        address = f"127.0.0.1:{server.wait_ready()['port']}"
        replies = asyncio.run(ask_all(address, requests_for(world, rows)))
        assert Counter(reply.infer_response.id for reply in replies) == Counter(map(str, range(400)))
        answered = check_answers(world, replies, rows)
        refused = [reply.error_message for reply in replies if reply.error_message]
        assert answered >= 40
        assert len(refused) >= 100
        assert all(message.startswith("RESOURCE_EXHAUSTED: tier 'cloud' is overloaded: ") for message in refused)
        # and when it is over, it is over
        (again,) = asyncio.run(ask_all(address, requests_for(world, rows[:1])))
        assert not again.error_message
    finally:
        assert server.close() == 0


def test_deadlines_hold_in_a_crowd(tmp_path: Path) -> None:
    world = make_world(tmp_path, placement=("cloud",) * 3)
    rows = tiny_rows(250)
    server = start(world, *SLOW, "--max-batch-rows", "1")
    try:
        address = f"127.0.0.1:{server.wait_ready()['port']}"
        replies = asyncio.run(ask_all(address, requests_for(world, rows, 500.0)))
        codes = Counter(reply.error_message.partition(":")[0] for reply in replies)
        assert sum(codes.values()) == 250
        assert set(codes) <= {"", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED"}
        assert codes[""] >= 1  # what was computed was in time: the hopeless did not take their turn
        assert codes["RESOURCE_EXHAUSTED"] + codes["DEADLINE_EXCEEDED"] >= 25
    finally:
        assert server.close() == 0


def test_a_device_with_an_exit_always_answers(tmp_path: Path) -> None:
    world = make_world(tmp_path, placement=("device", "cloud", "cloud"))
    rows = tiny_rows(200)
    expected = local_chain(world.cascade, rows, GATES)
    server = start(world, *SLOW, "--max-queue-rows", "4", "--max-batch-rows", "1")
    try:
        address = f"127.0.0.1:{server.wait_ready()['port']}"

        async def ask(device: Device) -> list[Any]:
            return await asyncio.gather(*(device.infer_async(row) for row in rows))

        with Device(world.cascade, world.plan, address, deadline_s=20.0) as device:
            answers = asyncio.run(ask(device))
    finally:
        server.close()
    assert len(answers) == 200
    reasons = Counter(answer.degraded for answer in answers)
    assert reasons["overload"] >= 1
    assert set(reasons) <= {None, "overload", "breaker_open"}
    for answer, (label, exit_index, _) in zip(answers, expected, strict=True):
        if answer.degraded is None:
            assert (answer.label, answer.exit) == (label, exit_index)
        else:
            assert answer.exit < exit_index


def test_told_to_end_it_answers_what_it_has_taken_in(tmp_path: Path) -> None:
    world = make_world(tmp_path, placement=("cloud",) * 3)
    rows = tiny_rows(20)
    server = start(world, *SLOW, "--max-drain-s", "30")
    try:
        address = f"127.0.0.1:{server.wait_ready()['port']}"

        def end(replies: int) -> None:
            if replies == 2:  # all are read by then: the tier computes in a thread
                os.kill(server.pid, signal.SIGTERM)

        replies = asyncio.run(ask_all(address, requests_for(world, rows), end))
        assert sorted(int(reply.infer_response.id) for reply in replies) == list(range(20))
        codes = Counter(reply.error_message.partition(":")[0] for reply in replies)
        assert set(codes) <= {"", "UNAVAILABLE"}  # refused is what it had not read when it was told
        assert check_answers(world, replies, rows) >= 3
        until(lambda: server.exit_code is not None)
        assert server.exit_code == 0
        assert "Traceback" not in server.errors()
    finally:
        server.close()
