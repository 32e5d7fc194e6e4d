"""Several servers of the next tier: breakers, retries, hedging, and whose answer it is."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager

import pytest

from offramp.errors import BreakerOpen, ConfigError, DeadlineExceeded, LinkDown, Overloaded, PeerRefused
from offramp.runtime.counters import Counters
from offramp.runtime.delivery import Delivery
from offramp.runtime.failover import Failover
from offramp.runtime.loop import run_in_background
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.tolerance import FaultTolerance
from offramp.runtime.upstream import Upstream
from tests.runtime.support import eventually, fake_peer

DEAD = "127.0.0.1:9"


class Peer:
    """Answers with its name, as told: at once, late, never, or with an error."""

    def __init__(self, name: str, does: str = "answers") -> None:
        self.name = name
        self.does = does
        self.late_s = 0.0
        self.asked: list[pb.ModelInferRequest] = []

    async def __call__(self, request: pb.ModelInferRequest) -> pb.ModelStreamInferResponse | None:
        self.asked.append(request)
        if self.late_s:
            await asyncio.sleep(self.late_s)
        if self.does == "hangs":
            return None
        if self.does == "breaks":
            raise ConnectionError("the test breaks the stream")
        reply = pb.ModelStreamInferResponse(error_message="" if self.does == "answers" else self.does)
        reply.infer_response.id = request.id
        reply.infer_response.model_name = f"{self.name}:{request.model_name}"
        return reply


@contextmanager
def connected(addresses: Sequence[str], tolerance: FaultTolerance | None = None) -> Iterator[Failover]:
    async def open_one() -> Failover:
        upstreams = [Upstream(address, Counters("device", 1, 1)) for address in addresses]
        failover = Failover(upstreams, time.perf_counter, tolerance)
        failover.start()
        for upstream in upstreams:
            assert upstream.address == DEAD or await upstream.wait_connected(5.0)
        return failover

    failover = run_in_background(open_one())
    try:
        yield failover
    finally:
        run_in_background(failover.close())


@contextmanager
def two(first: Peer, second: Peer, tolerance: FaultTolerance | None = None) -> Iterator[Failover]:
    with fake_peer(first) as one, fake_peer(second) as other, connected([one, other], tolerance) as failover:
        yield failover


def ask(failover: Failover, timeout_s: float = 5.0, name: str = "x") -> str:
    return str(run_in_background(failover.send(pb.ModelInferRequest(model_name=name), timeout_s)).model_name)


def test_the_first_is_asked_while_it_answers() -> None:
    first, second = Peer("first"), Peer("second")
    with two(first, second) as failover:
        assert [ask(failover) for _ in range(5)] == ["first:x"] * 5
    assert not second.asked


def test_one_that_cannot_be_reached_is_passed_over() -> None:
    with fake_peer(Peer("second")) as address, connected([DEAD, address]) as failover:
        assert ask(failover) == "second:x"
        assert failover.connected
        assert failover.address == f"{DEAD}, {address}"


@pytest.mark.parametrize("does", ["FAILED_PRECONDITION: another cascade", "RESOURCE_EXHAUSTED: full", "breaks"])
def test_what_one_cannot_answer_the_next_does(does: str) -> None:
    first, second = Peer("first", does), Peer("second")
    with two(first, second) as failover:
        assert ask(failover) == "second:x"
        assert failover.in_flight == 0
    assert len(first.asked) == len(second.asked) == 1


def test_the_retry_budget_bounds_what_is_asked_twice() -> None:
    first, second = Peer("first", "FAILED_PRECONDITION: no"), Peer("second")
    with two(first, second, FaultTolerance(retry_share=0.1, retry_most=2)) as failover:
        found = []
        for _ in range(30):
            with contextlib.suppress(PeerRefused):
                found.append(ask(failover))
    assert 2 <= len(found) <= 2 + 0.1 * 30
    assert len(first.asked) == 30


def test_a_retry_has_the_time_that_is_left() -> None:
    first, second = Peer("first", "UNAVAILABLE: no"), Peer("second")
    first.late_s = 0.2
    request = pb.ModelInferRequest(model_name="x")
    request.parameters["deadline_ms"].double_param = 3000.0
    with two(first, second) as failover:
        run_in_background(failover.send(request, 3.0))
    assert 0 < second.asked[0].parameters["deadline_ms"].double_param <= 2800.0


def test_nothing_is_sent_again_after_the_deadline() -> None:
    first, second = Peer("first", "UNAVAILABLE: no"), Peer("second")
    first.late_s = 0.4
    with two(first, second) as failover:
        with pytest.raises(DeadlineExceeded):
            ask(failover, timeout_s=0.1)
        run_in_background(asyncio.sleep(0.5))
    assert not second.asked


def test_a_silent_peer_is_left_alone_and_found_again() -> None:
    peer = Peer("only", "hangs")
    tolerance = FaultTolerance(breaker_failures=2, breaker_open_s=0.05, breaker_longest_s=0.1)
    with fake_peer(peer) as address, connected([address], tolerance) as failover:
        for _ in range(2):
            with pytest.raises(DeadlineExceeded):
                ask(failover, timeout_s=0.1)
        with pytest.raises(BreakerOpen, match="2 requests in a row were not answered"):
            ask(failover)
        asked = len(peer.asked)
        assert asked == 2
        for _ in range(20):  # nobody waits for probes
            run_in_background(asyncio.sleep(0.01))
            with pytest.raises(BreakerOpen):
                ask(failover, timeout_s=0.02)
        assert len(peer.asked) > asked
        peer.does = "answers"
        found = ""
        until_s = time.monotonic() + 10
        while not found and time.monotonic() < until_s:
            run_in_background(asyncio.sleep(0.02))
            with contextlib.suppress(BreakerOpen):
                found = ask(failover)
        assert found == "only:x"
        assert failover.in_flight == 0


def test_a_silent_first_is_replaced_until_it_answers_a_probe() -> None:
    first, second = Peer("first", "hangs"), Peer("second")
    tolerance = FaultTolerance(breaker_failures=1, breaker_open_s=0.05, breaker_longest_s=0.1)
    with two(first, second, tolerance) as failover:
        with pytest.raises(DeadlineExceeded):
            ask(failover, timeout_s=0.1)
        assert ask(failover) == "second:x"
        first.does = "answers"
        run_in_background(asyncio.sleep(0.1))
        assert ask(failover) == "second:x"  # a copy went to the first
        run_in_background(eventually(lambda: failover.peers[0].breaker.state == "closed"))
        assert ask(failover) == "first:x"


def test_a_probe_answered_late_brings_the_next_one_at_once() -> None:
    """Pauses of an hour, but a sign of life cuts them short."""
    peer = Peer("only", "hangs")
    tolerance = FaultTolerance(breaker_failures=1, breaker_open_s=0.05, breaker_longest_s=3600.0)
    with fake_peer(peer) as address, connected([address], tolerance) as failover:
        with pytest.raises(DeadlineExceeded):
            ask(failover, timeout_s=0.05)
        breaker = failover.peers[0].breaker
        while breaker.pause_s < 0.4:
            run_in_background(asyncio.sleep(0.02))
            with pytest.raises(BreakerOpen):
                ask(failover, timeout_s=0.02)
        peer.does, peer.late_s = "answers", 0.2
        run_in_background(asyncio.sleep(0.5))
        with pytest.raises(BreakerOpen):
            ask(failover, timeout_s=0.05)
        run_in_background(eventually(lambda: breaker.pause_s == 0.05))
        peer.late_s = 0.0
        with pytest.raises(BreakerOpen):  # its copy is the probe
            ask(failover, timeout_s=5.0)
        run_in_background(eventually(lambda: breaker.state == "closed"))


def test_refusing_is_no_silence() -> None:
    with (
        fake_peer(Peer("only", "INVALID_ARGUMENT: no")) as address,
        connected([address], FaultTolerance(breaker_failures=1)) as failover,
    ):
        for _ in range(3):
            with pytest.raises(PeerRefused):
                ask(failover)


def test_overload_opens_the_breaker() -> None:
    peer = Peer("only", "RESOURCE_EXHAUSTED: full")
    with fake_peer(peer) as address, connected([address], FaultTolerance(breaker_failures=1)) as failover:
        with pytest.raises(Overloaded, match="full"):
            ask(failover)
        with pytest.raises(BreakerOpen):
            ask(failover)


def test_who_goes_away_and_who_has_no_time_blames_nobody() -> None:
    peer = Peer("only")
    peer.late_s = 0.02

    async def go_away(failover: Failover) -> None:
        task = asyncio.create_task(failover.send(pb.ModelInferRequest(), 5.0))
        await asyncio.sleep(0.01)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    with fake_peer(peer) as address, connected([address], FaultTolerance(breaker_failures=1)) as failover:
        run_in_background(go_away(failover))
        assert failover.peers[0].breaker.state == "closed"
        for _ in range(20):
            ask(failover)
        with pytest.raises(DeadlineExceeded):
            ask(failover, timeout_s=0.001)
        assert failover.peers[0].breaker.state == "closed"
        peer.does = "hangs"
        with pytest.raises(DeadlineExceeded):
            ask(failover, timeout_s=0.5)
        assert failover.peers[0].breaker.opened == 1


def test_what_takes_unusually_long_is_hedged() -> None:
    first, second = Peer("first"), Peer("second")
    with two(first, second, FaultTolerance(hedge_quantile=0.9)) as failover:
        for _ in range(20):
            assert ask(failover) == "first:x"
        first.late_s = 0.6
        begin_s = time.perf_counter()
        assert ask(failover) == "second:x"
        assert time.perf_counter() - begin_s < 0.5
        run_in_background(asyncio.sleep(0.7))  # the first one's late answer goes nowhere
        assert failover.in_flight == 0
        assert failover.peers[0].breaker.state == "closed"
        first.late_s = 0.0
        assert ask(failover) == "first:x"


def test_many_at_once_over_two_peers_that_fail() -> None:
    """None lost, none swapped: each waiter hears once, and of its own request."""
    first, second = Peer("first"), Peer("second")
    moods = ["answers", "hangs", "UNAVAILABLE: no", "breaks", "answers", "answers"]

    async def one(failover: Failover, index: int) -> str:
        first.does, second.does = moods[index % 6], moods[(index // 6) % 6]
        first.late_s = 0.001 * (index % 3)
        try:
            return (await failover.send(pb.ModelInferRequest(model_name=str(index)), 0.5)).model_name
        except (DeadlineExceeded, LinkDown, BreakerOpen):
            return f"none:{index}"

    async def everyone(failover: Failover) -> list[str]:
        tasks = []
        for index in range(200):
            tasks.append(asyncio.create_task(one(failover, index)))
            await asyncio.sleep(0.001)
        return list(await asyncio.gather(*tasks))

    tolerance = FaultTolerance(breaker_open_s=0.01, breaker_longest_s=0.02, retry_most=1000)
    with two(first, second, tolerance) as failover:
        found = run_in_background(everyone(failover))
        assert failover.in_flight == 0
    assert [name.partition(":")[2] for name in found] == [str(index) for index in range(200)]
    assert {name.partition(":")[0] for name in found} >= {"first"}


class GivesUpInThisMoment(Future[pb.ModelInferResponse]):
    """Was not done when asked, and is cancelled before it is told."""

    def done(self) -> bool:
        self.cancel()
        return False


def test_giving_up_while_the_answer_arrives_breaks_nothing() -> None:
    async def deliver(failover: Failover) -> None:
        for _ in range(3):
            request = pb.ModelInferRequest(id=failover.new_id())
            waiter = GivesUpInThisMoment()
            Delivery(failover, failover.choose(), request.id, request.SerializeToString(), waiter, None).start()
            await eventually(lambda: failover.in_flight == 0)

    peer = Peer("only")
    with fake_peer(peer) as address, connected([address]) as failover:
        run_in_background(deliver(failover))
        assert ask(failover) == "only:x"
        assert failover.peers[0].upstream._counters.connections == 1


def test_servers_must_differ() -> None:
    for addresses in ([], [DEAD, DEAD]):
        with pytest.raises(ConfigError, match="one or more servers"):
            Failover([Upstream(address, Counters("device", 1, 1)) for address in addresses], time.perf_counter)
    with pytest.raises(ConfigError, match="hedge_quantile"):
        FaultTolerance(hedge_quantile=1.0)
