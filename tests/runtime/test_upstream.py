"""The client of the next tier, against a server in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from offramp.errors import DeadlineExceeded, LinkDown, Overloaded, PayloadTooLarge, PeerRefused
from offramp.runtime import upstream as upstream_module
from offramp.runtime.counters import Counters
from offramp.runtime.loop import run_in_background
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.upstream import Upstream
from tests.runtime.support import eventually, fake_peer


@contextmanager
def connected(address: str, max_message_bytes: int = 1 << 20) -> Iterator[Upstream]:
    async def open_one() -> Upstream:
        upstream = Upstream(address, Counters("device", 1, 1), max_message_bytes=max_message_bytes)
        upstream.start()
        assert await upstream.wait_connected(5.0)
        return upstream

    upstream = run_in_background(open_one())
    try:
        yield upstream
    finally:
        run_in_background(upstream.close())


def answer_to(request: pb.ModelInferRequest) -> pb.ModelStreamInferResponse:
    return pb.ModelStreamInferResponse(
        infer_response=pb.ModelInferResponse(id=request.id, model_name=request.model_name)
    )


async def echo(request: pb.ModelInferRequest) -> pb.ModelStreamInferResponse:
    return answer_to(request)


def test_answers_find_their_requests() -> None:
    """They come back in the reverse order."""
    held: list[pb.ModelInferRequest] = []

    async def reverse(request: pb.ModelInferRequest) -> pb.ModelStreamInferResponse | None:
        held.append(request)
        return answer_to(held[-1]) if len(held) == 1 else answer_to(request)

    async def ask(upstream: Upstream) -> list[str]:
        names = [f"model{index}" for index in range(20)]
        found = await asyncio.gather(*(upstream.send(pb.ModelInferRequest(model_name=name), 5.0) for name in names))
        assert [reply.model_name for reply in found] == names
        return [reply.id for reply in found]

    with fake_peer(reverse) as address, connected(address) as upstream:
        assert len(set(run_in_background(ask(upstream)))) == 20


def test_late_answers_are_dropped() -> None:
    release = []

    async def late(request: pb.ModelInferRequest) -> pb.ModelStreamInferResponse | None:
        if request.model_name == "slow":
            release.append(request)
            return None
        return answer_to(release.pop()) if request.model_name == "release" else answer_to(request)

    async def ask(upstream: Upstream) -> None:
        with pytest.raises(DeadlineExceeded, match="no answer within the deadline"):
            await upstream.send(pb.ModelInferRequest(model_name="slow"), 0.1)
        with pytest.raises(DeadlineExceeded):
            await upstream.send(pb.ModelInferRequest(model_name="release"), 0.2)  # brings the answer to "slow"
        assert upstream._counters.late_answers == 1
        reply = await upstream.send(pb.ModelInferRequest(model_name="quick"), 5.0)
        assert reply.model_name == "quick"

    with fake_peer(late) as address, connected(address) as upstream:
        run_in_background(ask(upstream))


def test_refusals_are_named() -> None:
    async def refuse(request: pb.ModelInferRequest) -> pb.ModelStreamInferResponse:
        reply = pb.ModelStreamInferResponse(error_message="INVALID_ARGUMENT: no such shape")
        reply.infer_response.id = request.id
        return reply

    with (
        fake_peer(refuse) as address,
        connected(address) as upstream,
        pytest.raises(PeerRefused, match="no such shape"),
    ):
        run_in_background(upstream.send(pb.ModelInferRequest(), 5.0))


def test_messages_above_the_limit_are_not_sent() -> None:
    with fake_peer(echo) as address, connected(address, max_message_bytes=1000) as upstream:
        big = pb.ModelInferRequest(raw_input_contents=[b"x" * 2000])
        with pytest.raises(PayloadTooLarge, match="at most 1000"):
            run_in_background(upstream.send(big, 5.0))
        assert run_in_background(upstream.send(pb.ModelInferRequest(model_name="a"), 5.0)).model_name == "a"


def test_a_dead_link_is_said_at_once() -> None:
    async def ask() -> None:
        upstream = Upstream("127.0.0.1:9", Counters("device", 1, 1))
        upstream.start()
        assert not await upstream.wait_connected(0.05)
        assert not upstream.connected
        with pytest.raises(LinkDown, match="no connection to the next tier"):
            await upstream.send(pb.ModelInferRequest(), 60.0)
        await upstream.close()

    run_in_background(ask())


def test_a_broken_stream_fails_what_is_in_flight_and_comes_back() -> None:
    async def hang(request: pb.ModelInferRequest) -> None:
        if request.model_name == "break":
            raise ConnectionError("the test breaks the stream")

    async def ask(upstream: Upstream) -> None:
        waiting = asyncio.create_task(upstream.send(pb.ModelInferRequest(model_name="wait"), 30.0))
        await asyncio.sleep(0)
        with pytest.raises(LinkDown):
            await upstream.send(pb.ModelInferRequest(model_name="break"), 30.0)
        with pytest.raises(LinkDown):
            await waiting
        await eventually(lambda: upstream.connected)
        assert upstream._counters.connections == 2

    with fake_peer(hang) as address, connected(address) as upstream:
        run_in_background(ask(upstream))


def test_garbage_breaks_the_stream_and_nothing_else() -> None:
    async def garbage(request: pb.ModelInferRequest) -> bytes:
        return b"\xff\xff\xff"

    async def ask(upstream: Upstream) -> None:
        with pytest.raises(LinkDown, match="no answer"):
            await upstream.send(pb.ModelInferRequest(), 30.0)
        await eventually(lambda: upstream.connected)

    with fake_peer(garbage) as address, connected(address) as upstream:
        run_in_background(ask(upstream))


def test_only_so_many_are_in_flight(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_module, "MAX_IN_FLIGHT", 3)

    async def silence(request: pb.ModelInferRequest) -> None:
        """Take the request, say nothing."""

    async def ask(upstream: Upstream) -> None:
        waiting = [asyncio.create_task(upstream.send(pb.ModelInferRequest(), 30.0)) for _ in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(Overloaded, match="3 requests are in flight already"):
            await upstream.send(pb.ModelInferRequest(), 30.0)
        waiting[0].cancel()
        await asyncio.wait(waiting[:1])
        with pytest.raises(DeadlineExceeded):  # there is room for it
            await upstream.send(pb.ModelInferRequest(), 0.05)
        for task in waiting[1:]:
            task.cancel()
        await asyncio.wait(waiting)

    with fake_peer(silence) as address, connected(address) as upstream:
        run_in_background(ask(upstream))


def test_mail_nobody_waits_for_is_thrown_away(monkeypatch: pytest.MonkeyPatch) -> None:
    """A peer that does not read lets messages pile up, but not those that were given up."""
    monkeypatch.setattr(upstream_module, "MAX_IN_FLIGHT", 4)

    async def ask(upstream: Upstream) -> None:
        monkeypatch.setattr(upstream._has_mail, "set", lambda: None)  # the writer sleeps on
        for _ in range(50):
            with pytest.raises(DeadlineExceeded):
                await upstream.send(pb.ModelInferRequest(), 0.001)
        assert len(upstream._outbox) <= 4

    with fake_peer(echo) as address, connected(address) as upstream:
        run_in_background(ask(upstream))


def test_a_connection_that_fails_in_an_unforeseen_way_is_made_anew(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(upstream_module, "BACKOFF_S", (0.01, 0.02))
    hold, failures = Upstream._hold_stream, [3]

    async def stumble(upstream: Upstream) -> None:
        if failures[0]:
            failures[0] -= 1
            raise RuntimeError("gRPC stumbles")
        await hold(upstream)

    monkeypatch.setattr(Upstream, "_hold_stream", stumble)
    with fake_peer(echo) as address, connected(address) as upstream:
        assert run_in_background(upstream.send(pb.ModelInferRequest(model_name="a"), 5.0)).model_name == "a"
    assert [record.getMessage().count("is made anew") for record in caplog.records] == [1, 1, 1]
