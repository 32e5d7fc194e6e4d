"""The device: right answers, and always an answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.cascade.store import Cascade
from offramp.errors import ConfigError, RecordMismatch, SampleError
from offramp.runtime.answering import Answering
from offramp.runtime.device import Device
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.status import stream_error
from offramp.runtime.tier import Tier
from tests.runtime.support import Reply, fake_peer, local_chain, plan_of
from tests.support.tiny import make_tiny_cascade, tiny_rows

GATES = (0.6, 0.8)
PLACEMENTS = [("device",) * n + ("edge",) * (3 - n) for n in range(4)]


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


@contextmanager
def edge_of(cascade: Cascade, *plans: Any) -> Iterator[str]:
    """A real tier behind a stream in this process."""
    answering = Answering(Tier(cascade, "edge", plans))

    async def reply(request: pb.ModelInferRequest) -> pb.ModelStreamInferResponse:
        request_id = request.id
        try:
            return pb.ModelStreamInferResponse(infer_response=await answering.answer(request))
        except Exception as error:
            response = pb.ModelStreamInferResponse(error_message=stream_error(error))
            response.infer_response.id = request_id
            return response

    with fake_peer(reply) as address:
        yield address
    answering.close()


async def _silence(request: pb.ModelInferRequest) -> None:
    """Take the request, say nothing."""


async def _nonsense(request: pb.ModelInferRequest) -> pb.ModelStreamInferResponse:
    return pb.ModelStreamInferResponse(infer_response=pb.ModelInferResponse(id=request.id))


async def _refusal(request: pb.ModelInferRequest) -> pb.ModelStreamInferResponse:
    reply = pb.ModelStreamInferResponse(error_message="FAILED_PRECONDITION: no such plan")
    reply.infer_response.id = request.id
    return reply


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("codec", ["raw", "zstd"])
def test_any_placement_gives_the_same_answers(cascade: Cascade, placement: tuple[str, ...], codec: str) -> None:
    plan = plan_of(cascade, placement, GATES, codec)
    rows = tiny_rows(40)
    expected = local_chain(cascade, rows, GATES)
    with edge_of(cascade, plan) as address, Device(cascade, plan, address) as device:
        single = [device.infer(row) for row in rows]
        batch = device.infer_batch(rows)
        later = asyncio.run(_gather(device, rows))
    for answers in (single, batch, later):
        assert [(answer.label, answer.exit) for answer in answers] == [row[:2] for row in expected]
        assert {answer.degraded for answer in answers} == {None}
        for answer, (_, exit_index, probabilities) in zip(answers, expected, strict=True):
            np.testing.assert_allclose(answer.probabilities, probabilities, atol=1e-6)
            assert answer.tier == placement[exit_index]
            assert (answer.sent_bytes > 0) == (answer.tier == "edge")
            assert answer.confidence == pytest.approx(answer.probabilities.max(), abs=1e-6)
            assert answer.compute_s is not None
            assert answer.latency_s > 0
    counted = device.counters
    assert (counted.rows, counted.requests) == (120, 81)
    assert sum(counted.exit_rows) == 3 * sum(answer.tier == "device" for answer in single)
    assert counted.rows_executed[0] == (120 if placement[0] == "device" else 0)


async def _gather(device: Device, rows: Any) -> list[Any]:
    return list(await asyncio.gather(*(device.infer_async(row) for row in rows)))


FAULTS: list[tuple[Reply | None, str]] = [
    (_silence, "deadline"),
    (_refusal, "refused"),
    (_nonsense, "refused"),
    (None, "link_down"),
]


@pytest.mark.parametrize(("peer", "reason"), FAULTS)
@pytest.mark.parametrize("local", [0, 1, 2])
def test_it_answers_whatever_the_peer_does(cascade: Cascade, peer: Reply | None, reason: str, local: int) -> None:
    plan = plan_of(cascade, PLACEMENTS[local], (None, None))
    reached = max(local, 1) - 1
    rows = tiny_rows(2)
    expected = local_chain(cascade, rows, (*(None,) * reached, 0.0, None)[:2])
    with fake_peer(peer or _silence) as address:
        device = Device(cascade, plan, address, deadline_s=0.15)
        if peer is not None:
            begin_s = time.perf_counter()
            answers = [device.infer(rows[0]), *device.infer_batch(rows), asyncio.run(device.infer_async(rows[1]))]
            assert time.perf_counter() - begin_s < 5
    if peer is None:  # the peer has gone
        while device.connected:
            time.sleep(0.01)
        answers = [device.infer(rows[0]), *device.infer_batch(rows), asyncio.run(device.infer_async(rows[1]))]
    device.close()
    assert [answer.degraded for answer in answers] == [reason] * 4
    assert [answer.tier for answer in answers] == ["device"] * 4
    wanted = [expected[index] for index in (0, 0, 1, 1)]
    assert [(answer.label, answer.exit) for answer in answers] == [row[:2] for row in wanted]
    assert device.counters.degraded == {reason: 4}


def test_a_deadline_too_short_for_the_next_local_exit(cascade: Cascade) -> None:
    plan = plan_of(cascade, ("device",) * 3, (None, None))
    with Device(cascade, plan, deadline_s=0.05) as device:
        for index in range(3):
            device._tier.segment(device._following.route, index).row_s = 1.0
        answer = device.infer(tiny_rows(1)[0])
    assert (answer.exit, answer.degraded) == (0, "deadline")


def test_no_peer_at_all(cascade: Cascade) -> None:
    plan = plan_of(cascade, ("edge",) * 3, (None, None))
    with Device(cascade, plan, "127.0.0.1:9") as device:
        assert not device.connected
        assert device.infer(tiny_rows(1)[0]).degraded == "link_down"


def test_plans_can_be_switched(cascade: Cascade) -> None:
    first, second = (plan_of(cascade, placement, GATES) for placement in (("device",) * 3, ("edge",) * 3))
    row = tiny_rows(1)[0]
    with edge_of(cascade, first, second) as address, Device(cascade, first, address) as device:
        assert device.infer(row).tier == "device"
        device.switch(second)
        assert device.plan is second
        assert device.infer(row).tier == "edge"
        device.switch(first)
        assert device.infer(row).tier == "device"


@pytest.mark.parametrize("slow_down", [1.0, 2.0])
@pytest.mark.parametrize(
    ("sample", "sentence"),
    [
        (np.zeros(5, np.float32), "shape"),
        (np.zeros((1, 4), np.float32), "shape"),
        (np.zeros(4, np.float64), "dtype"),
        (np.array([0, np.nan, 0, 0], np.float32), "NaN or infinity"),
        (np.array([0, 0, 0, -np.inf], np.float32), "NaN or infinity"),
    ],
)
def test_bad_samples_are_refused(cascade: Cascade, sample: Any, sentence: str, slow_down: float) -> None:
    with Device(cascade, plan_of(cascade, ("device",) * 3, GATES), slow_down=slow_down) as device:
        with pytest.raises(SampleError, match=sentence):
            device.infer(sample)
        with pytest.raises(SampleError, match=sentence):
            device.infer_batch(sample[None])
        assert device.infer(np.full(4, 1e30, np.float32)).degraded is None


def test_settings_are_checked(cascade: Cascade, tmp_path: Path) -> None:
    offloading = plan_of(cascade, ("device", "edge", "edge"), GATES)
    with pytest.raises(ConfigError, match="no upstream was given"):
        Device(cascade, offloading)
    local = plan_of(cascade, ("device",) * 3, GATES)
    with pytest.raises(ConfigError, match="deadline_s"):
        Device(cascade, local, deadline_s=0)
    with pytest.raises(ConfigError, match="slow_down"):
        Device(cascade, local, slow_down=0.5)
    other = make_tiny_cascade(tmp_path, name="other", segments=3, seed=9)
    with Device(cascade, local) as device, pytest.raises(RecordMismatch):
        device.switch(plan_of(other, ("device",) * 3, GATES))


def test_a_refusal_is_told_once(cascade: Cascade, caplog: pytest.LogCaptureFixture) -> None:
    plan = plan_of(cascade, ("device", "edge", "cloud"), (None, None))
    with fake_peer(_refusal) as address, Device(cascade, plan, address) as device:
        for row in tiny_rows(5):
            assert device.infer(row).degraded == "refused"
    told = [record.getMessage() for record in caplog.records if "answers alone" in record.getMessage()]
    assert len(told) == 1
    assert "no such plan" in told[0]


def test_a_slow_device_takes_no_longer_to_be_handed_an_array(cascade: Cascade) -> None:
    with Device(cascade, plan_of(cascade, ("device",) * 3, GATES), slow_down=50.0) as device:
        assert device._reader._pace.slow_down == 1.0
        assert device._tier.pace.slow_down == 50.0
