"""Samples that could not be delivered: kept, delivered later, each with its own answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.store import Cascade
from offramp.errors import DataError
from offramp.runtime.answer import Answer
from offramp.runtime.answering import Answering
from offramp.runtime.device import Device
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.spool import Spool
from offramp.runtime.spooled import SpooledSample, read_samples
from offramp.runtime.spooler import Spooler
from offramp.runtime.status import stream_error
from offramp.runtime.tier import Tier
from offramp.runtime.tolerance import FaultTolerance
from tests.runtime.support import fake_peer, local_chain, plan_of
from tests.support.tiny import make_tiny_cascade, tiny_rows

PLACEMENT = ("device", "edge", "edge")
GOES_ON = (None, None)
#: finds a peer again at once
QUICK = FaultTolerance(breaker_failures=1000)

Late = list[tuple[SpooledSample, Answer]]


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


class Edge:
    """A real tier that answers as long as it is ``up``; otherwise with ``error``."""

    def __init__(self, cascade: Cascade, plan: object) -> None:
        self.answering = Answering(Tier(cascade, "edge", [plan]))  # type: ignore[list-item]  # a plan
        self.up = False
        self.error = "UNAVAILABLE: down"

    async def __call__(self, request: pb.ModelInferRequest) -> pb.ModelStreamInferResponse:
        request_id = request.id
        try:
            if self.up:
                return pb.ModelStreamInferResponse(infer_response=await self.answering.answer(request))
            error = self.error
        except Exception as refusal:
            error = stream_error(refusal)
        response = pb.ModelStreamInferResponse(error_message=error)
        response.infer_response.id = request_id
        return response


@contextmanager
def edge_of(cascade: Cascade) -> Iterator[tuple[Edge, str]]:
    edge = Edge(cascade, plan_of(cascade, PLACEMENT, GOES_ON))
    with fake_peer(edge) as address:
        yield edge, address
    edge.answering.close()


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "waited too long"
        time.sleep(0.01)


def test_undelivered_samples_are_delivered_when_the_link_is_back(cascade: Cascade, tmp_path: Path) -> None:
    plan, rows, late = plan_of(cascade, PLACEMENT, GOES_ON), tiny_rows(12), Late()
    expected = local_chain(cascade, rows, GOES_ON)
    sample = np.empty(4, np.float32)

    def tell(kept: SpooledSample, answer: Answer) -> None:
        late.append((kept, answer))
        if len(late) == 3:
            raise ValueError("the callback fails once")

    with (
        edge_of(cascade) as (edge, address),
        Device(cascade, plan, address, tolerance=QUICK, spool=tmp_path / "spool", on_late_answer=tell) as device,
    ):
        answers = []
        for row in rows:
            sample[:] = row  # the same memory again and again
            answers.append(device.infer(sample))
        assert device.spool is not None
        edge.up = True
        until(lambda: device.spool is not None and device.spool.delivered == 12)
        assert device.infer(rows[0]).degraded is None
        assert len(device.spool) == 0
    assert {answer.degraded for answer in answers} == {"link_down"}
    for (kept, answer), first, row, (label, exit_index, probabilities) in zip(
        late, answers, rows, expected, strict=True
    ):
        np.testing.assert_array_equal(kept.inputs[0], row[None])
        assert (kept.label, kept.exit, kept.reason) == (first.label, 0, "link_down")
        assert kept.plan_id == plan.plan_id
        assert kept.time_s > 1e9
        assert (answer.label, answer.exit, answer.tier) == (label, exit_index, "edge")
        np.testing.assert_allclose(answer.probabilities, probabilities, atol=1e-6)


def test_batches_and_pipelines_are_kept_too_and_a_later_start_delivers(cascade: Cascade, tmp_path: Path) -> None:
    plan, rows, late = plan_of(cascade, PLACEMENT, GOES_ON), tiny_rows(10), Late()
    spool = tmp_path / "spool"
    with edge_of(cascade) as (_, address), Device(cascade, plan, address, tolerance=QUICK, spool=spool) as device:
        device.infer_batch(rows[:5])
        assert len(list(device.infer_many(rows[5:]))) == 5
        assert not device.deliver(0.01)
    samples = read_samples(spool, cascade.manifest)
    assert sorted(sample.inputs[0].tobytes() for sample in samples) == sorted(row.tobytes() for row in rows)
    with edge_of(cascade) as (edge, address):
        edge.up = True
        with Device(
            cascade, plan, address, spool=Spool(spool), on_late_answer=lambda kept, answer: late.append((kept, answer))
        ) as again:
            assert again.deliver(20.0)
    assert len(late) == 10
    assert not read_samples(spool, cascade.manifest)


def test_refused_samples_are_not_kept(cascade: Cascade, tmp_path: Path) -> None:
    plan = plan_of(cascade, PLACEMENT, GOES_ON)
    with edge_of(cascade) as (edge, address), Device(cascade, plan, address, spool=tmp_path / "spool") as device:
        edge.error = "INVALID_ARGUMENT: no"
        assert device.infer(tiny_rows(1)[0]).degraded == "refused"
    assert not read_samples(tmp_path / "spool", cascade.manifest)


def test_a_degraded_late_answer_does_not_count(cascade: Cascade, tmp_path: Path) -> None:
    """The edge is there, but its own next tier is not."""
    plan = plan_of(cascade, ("device", "edge", "cloud"), GOES_ON)
    edge = Edge(cascade, plan)
    edge.up = True
    with fake_peer(edge) as address, Device(cascade, plan, address, spool=tmp_path / "spool") as device:
        answer = device.infer(tiny_rows(1)[0])
        assert (answer.tier, answer.degraded) == ("edge", "link_down")
        until(lambda: edge.answering.tier.counters.requests >= 3)
        assert device.spool is not None
        assert (len(device.spool), device.spool.delivered) == (1, 0)
    edge.answering.close()
    assert read_samples(tmp_path / "spool", cascade.manifest)[0].exit == 1


def test_a_slow_disk_holds_no_answer_up(cascade: Cascade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    free = threading.Event()
    append = Spool.append

    def slow(spool: Spool, payload: bytes) -> bool:
        free.wait(30)
        return append(spool, payload)

    monkeypatch.setattr(Spool, "append", slow)
    plan = plan_of(cascade, PLACEMENT, GOES_ON)
    with Device(cascade, plan, "127.0.0.1:9", spool=tmp_path / "spool") as device:
        answers = [device.infer(row) for row in tiny_rows(300)]
        assert device.spool is not None
        lost = device.spool.lost
        free.set()
    assert len(answers) == 300
    assert 300 - 256 - 1 <= lost <= 300 - 256
    assert len(read_samples(tmp_path / "spool", cascade.manifest)) == 300 - lost


def test_what_is_no_sample_is_named(cascade: Cascade, tmp_path: Path) -> None:
    with Spool(tmp_path / "spool") as spool:
        spool.append(b"\xff\xff")
    with pytest.raises(DataError, match="record 0 is no sample of 'tiny'"):
        read_samples(tmp_path / "spool", cascade.manifest)


def test_one_that_cannot_be_written_is_counted(cascade: Cascade, tmp_path: Path) -> None:
    device = Tier(cascade, "device", [plan_of(cascade, PLACEMENT, GOES_ON)])
    spooler = Spooler(Spool(tmp_path / "spool"), cascade.manifest, device.clock, time.time)
    answer = Answer(0, np.zeros(3, np.float32), 0.5, 0, "device", 0.1, "link_down")
    spooler.keep((), answer, "no inputs: a defect of ours")
    spooler.keep((np.zeros((1, 4), np.float32),), answer, "plan")
    spooler.keep((np.zeros((1, 4), np.float32),), answer._replace(degraded=None), "plan")
    spooler.flush()
    assert (spooler.spool.stored, spooler.spool.lost) == (1, 1)
    spooler.close()
    spooler.close()
    spooler.keep((np.zeros((1, 4), np.float32),), answer, "plan")
    assert spooler.spool.lost == 2
