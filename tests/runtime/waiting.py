"""Requests that all wait at a tier at the same time, and what each must be answered."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from offramp.cascade.store import Cascade
from offramp.planning.plan import Plan
from offramp.runtime.answering import Answering
from offramp.runtime.job import Job
from offramp.runtime.limits import Limits
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.requests import build_request
from offramp.runtime.responses import parse_response
from offramp.runtime.templates import Arrival
from offramp.runtime.tensors import codec_named
from offramp.runtime.tier import Tier
from tests.runtime.support import local_chain

__all__ = ["CLOUD", "GATES", "answering_for", "check", "completed", "held", "read", "request", "together"]

GATES = (0.6, 0.8)
CLOUD = ("cloud",) * 3


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
                    jobs.append(answering.start(Arrival(message)))
                except Exception as error:
                    jobs.append(error)

        held(answering, start)
        waiting = [_error(job) if isinstance(job, Exception) else completed(answering, job) for job in jobs]
        return await asyncio.gather(*waiting, return_exceptions=True)

    async def _error(error: Exception) -> Any:
        raise error

    return asyncio.run(ask())


async def completed(answering: Answering, job: Job) -> pb.ModelInferResponse:
    return pb.ModelInferResponse.FromString(await answering.complete(job))


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
