"""The servers of the next tier: the first that can be asked is asked."""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from offramp.errors import BreakerOpen, ConfigError, DeadlineExceeded, LinkDown, LinkError
from offramp.runtime.breaker import Admission, Breaker, State
from offramp.runtime.budget import RetryBudget
from offramp.runtime.delivery import Delivery
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.tolerance import FaultTolerance
from offramp.runtime.upstream import Upstream

__all__ = ["Choice", "Failover", "Peer", "Way"]

#: answers whose latencies are kept, and how many there must be before one is hedged on them
KEPT, ENOUGH = 100, 20


class Peer:
    """One server of the next tier: its stream, its breaker, and how long its last answers took."""

    def __init__(self, upstream: Upstream, breaker: Breaker) -> None:
        self.upstream = upstream
        self.breaker = breaker
        self.latencies_s: deque[float] = deque(maxlen=KEPT)

    def latency_quantile_s(self, quantile: float) -> float | None:
        """A quantile of the last latencies; ``None`` while there are too few."""
        if len(self.latencies_s) < ENOUGH:
            return None
        ordered = sorted(self.latencies_s)
        return ordered[min(int(quantile * len(ordered)), len(ordered) - 1)]

    def __repr__(self) -> str:
        return f"Peer({self.upstream.address!r}, {self.breaker.state})"


class Way(NamedTuple):
    """Whom to ask, and the leave its breaker gave."""

    peer: Peer
    admission: Admission


class Choice(NamedTuple):
    """``way`` is the server to ask, or ``error`` says why there is none; ``probes`` are those due a probe."""

    way: Way | None
    probes: tuple[Way, ...]
    error: LinkError | None


class Failover:
    """The servers of the next tier, in order of preference.

    A request goes to the first that is connected and whose breaker is closed. One whose breaker is due a
    probe gets a copy that nobody waits for, so that no caller pays for finding out. A request that fails
    goes to the next server while there is time, and as often as the retry budget allows.

    Parameters
    ----------
    upstreams : at least one; `start` starts them
    tolerance : breakers, retries, hedging
    now : monotonic seconds

    Raises
    ------
    ConfigError : no server, or one twice
    """

    def __init__(
        self, upstreams: Sequence[Upstream], now: Callable[[], float], tolerance: FaultTolerance | None = None
    ) -> None:
        addresses = [upstream.address for upstream in upstreams]
        if not addresses or len(set(addresses)) != len(addresses):
            found = ", ".join(addresses) or "none"
            raise ConfigError(f"the next tier needs one or more servers at different addresses, not {found}")
        self.tolerance = tolerance or FaultTolerance()
        self.now = now
        self.budget = RetryBudget(self.tolerance.retry_share, self.tolerance.retry_most)
        self.peers = tuple(Peer(upstream, self._breaker()) for upstream in upstreams)
        #: requests under way, probes not counted
        self.in_flight = 0
        self._ids = itertools.count(1)
        self._told: str | None = None

    def _breaker(self) -> Breaker:
        chosen = self.tolerance
        return Breaker(
            self.now,
            failures=chosen.breaker_failures,
            open_s=chosen.breaker_open_s,
            longest_s=chosen.breaker_longest_s,
        )

    def start(self) -> None:
        """Begin to connect to all of them, and keep connected until `close`."""
        for peer in self.peers:
            peer.upstream.start()

    async def close(self) -> None:
        """Close every stream; requests in flight fail with `LinkDown`."""
        for peer in self.peers:
            await peer.upstream.close()

    async def wait_connected(self, timeout_s: float) -> bool:
        """Wait for the first stream; False when there is none in time."""
        waits = [asyncio.ensure_future(peer.upstream.wait_connected(timeout_s)) for peer in self.peers]
        try:
            for wait in asyncio.as_completed(waits):
                if await wait:
                    return True
            return False
        finally:
            for task in waits:
                task.cancel()

    @property
    def connected(self) -> bool:
        """Whether there is a stream to any of them right now."""
        return any(peer.upstream.connected for peer in self.peers)

    @property
    def breakers(self) -> dict[str, State]:
        """What each server's breaker is, by address."""
        return {peer.upstream.address: peer.breaker.state for peer in self.peers}

    @property
    def address(self) -> str:
        """Where they are."""
        return ", ".join(peer.upstream.address for peer in self.peers)

    def new_id(self) -> str:
        """An id for the next request; any thread may ask."""
        return str(next(self._ids))

    def first_time(self, error: Exception) -> bool:
        """Whether this is another kind of error than the last one told, so that logs do not repeat it for each row."""
        kind = type(error).__name__
        told, self._told = self._told, kind
        return told != kind

    def choose(self, tried: Collection[Peer] = ()) -> Choice:
        """Whom to ask now, those in ``tried`` left out; any thread may ask."""
        probes: list[Way] = []
        error: LinkError | None = None
        for peer in self.peers:
            if peer in tried:
                continue
            if not peer.upstream.connected:
                error = error or peer.upstream.down()
                continue
            admission = peer.breaker.admit()
            if admission is not None and not admission.probe:
                return Choice(Way(peer, admission), tuple(probes), None)
            if admission is not None:
                probes.append(Way(peer, admission))
            error = error or _not_asked(peer)
        return Choice(None, tuple(probes), error or LinkDown(f"{self.address}: no other server of the next tier"))

    async def send(self, message: pb.ModelInferRequest, timeout_s: float | None) -> pb.ModelInferResponse:
        """Send a request and wait for its answer. Gives the message an id.

        Raises
        ------
        LinkDown, BreakerOpen : no server can be asked
        DeadlineExceeded : no answer within ``timeout_s``
        PeerRefused, PayloadTooLarge, Overloaded : the servers cannot or will not answer
        """
        choice = self.choose()
        if choice.way is None and not choice.probes:
            assert choice.error is not None
            raise choice.error
        message.id = self.new_id()
        until_s = None if timeout_s is None else self.now() + timeout_s
        waiter: asyncio.Future[pb.ModelInferResponse] = asyncio.get_running_loop().create_future()
        delivery = Delivery(self, choice, message.id, message.SerializeToString(), waiter, until_s)
        delivery.start()
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter
        except TimeoutError as error:
            delivery.give_up()
            raise DeadlineExceeded(f"{self.address}: no answer within the deadline") from error
        except asyncio.CancelledError:
            delivery.give_up(blame=False)
            raise

    def __repr__(self) -> str:
        return f"Failover({list(self.peers)!r})"


def _not_asked(peer: Peer) -> BreakerOpen:
    return BreakerOpen(
        f"{peer.upstream.address}: not asked, because {peer.breaker.failures} requests in a row were not answered; "
        f"probed every {peer.breaker.pause_s:g} s"
    )
