"""One request on its way to whichever server answers it first."""

from __future__ import annotations

import asyncio
from concurrent.futures import InvalidStateError
from typing import TYPE_CHECKING

from offramp.errors import LinkError, PayloadTooLarge, PeerRefused
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.upstream import Waiter

if TYPE_CHECKING:
    from offramp.runtime.failover import Choice, Failover, Way

__all__ = ["Delivery"]

#: seconds after which a copy nobody waits for is given up, where the request has no deadline; and how long its answer
#: is a sign of life after the deadline
PROBE_S, LATE_S = 10.0, 1.0


class Delivery:
    """A request, until somebody has answered it or nobody can any more.

    All methods belong to the event loop.

    Parameters
    ----------
    failover : the servers
    choice : whom to ask first, and who is due a probe
    request_id, data : the serialised request
    waiter : gets a ``ModelInferResponse`` or a `LinkError`, once
    until_s : when `give_up` will be called at the latest; nothing is sent again after that
    """

    __slots__ = ("_attempts", "_choice", "_data", "_failover", "_over", "_waiter", "begin_s", "request_id", "until_s")

    def __init__(
        self, failover: Failover, choice: Choice, request_id: str, data: bytes, waiter: Waiter, until_s: float | None
    ) -> None:
        self.request_id = request_id
        self.until_s = until_s
        self.begin_s = 0.0
        self._failover = failover
        self._choice = choice
        self._data = data
        self._waiter = waiter
        self._attempts: list[Attempt] = []
        self._over = False

    def start(self) -> None:
        """Send it."""
        failover, choice = self._failover, self._choice
        self.begin_s = failover.now()
        for probe in choice.probes:
            self._probe(probe)
        if choice.way is None:
            self._end(error=choice.error)
            return
        failover.in_flight += 1
        failover.budget.pay()
        self._try(choice.way, self._data)
        if failover.tolerance.hedge_quantile is not None and len(failover.peers) > 1 and not self._over:
            after_s = choice.way.peer.latency_quantile_s(failover.tolerance.hedge_quantile)
            if after_s is not None:
                asyncio.get_running_loop().call_later(after_s, self._hedge)

    def give_up(self, blame: bool = True) -> None:
        """Nobody waits any more; to those asked it counts as a failure, unless nobody is to blame."""
        if not self._over:
            self._finish()
            self._forget(blame)

    def answered(self, reply: pb.ModelInferResponse) -> None:
        """A server has answered."""
        if self._over:
            return
        self._end(reply)
        self._let_run_out()

    def failed(self, error: LinkError) -> None:
        """A server cannot answer: the next one is asked, unless another is still at it."""
        if self._over or any(not attempt.over for attempt in self._attempts):
            return
        if isinstance(error, PayloadTooLarge) or not self._again():
            self._end(error=error)

    def _again(self) -> bool:
        """Ask a server that was not asked yet; whether there is one, and time, and something left to spend."""
        failover, now_s = self._failover, self._failover.now()
        if len(self._attempts) == len(failover.peers) or (self.until_s is not None and now_s >= self.until_s):
            return False
        choice = failover.choose([attempt.way.peer for attempt in self._attempts])
        for probe in choice.probes:
            self._probe(probe)
        if choice.way is None or not failover.budget.take():
            return False
        self._try(choice.way, self._with_time_left(now_s))
        return True

    def _hedge(self) -> None:
        if not self._over:
            self._again()

    def _try(self, way: Way, data: bytes) -> None:
        attempt = Attempt(self, way, self._failover.now())
        self._attempts.append(attempt)
        way.peer.upstream.submit(self.request_id, data, attempt)

    def _probe(self, way: Way) -> None:
        """Send a copy under another id, its answer for the breaker alone."""
        failover = self._failover
        message = pb.ModelInferRequest.FromString(self._data)
        message.id = failover.new_id()
        copy = Delivery(failover, self._choice, message.id, b"", _Nobody(), self.until_s)
        copy._over = True
        copy._try(way, message.SerializeToString())
        if not copy._attempts[0].over:
            left_s, loop = self._left_s(), asyncio.get_running_loop()
            loop.call_later(left_s, copy._attempts[0].miss)
            loop.call_later(left_s + LATE_S, copy._forget)

    def _let_run_out(self) -> None:
        """Those still asked have until the deadline: a late answer is no failure."""
        if all(attempt.over for attempt in self._attempts):
            return
        asyncio.get_running_loop().call_later(self._left_s(), self._forget)

    def _left_s(self) -> float:
        return PROBE_S if self.until_s is None else max(0.0, self.until_s - self._failover.now())

    def _forget(self, blame: bool = True) -> None:
        for attempt in self._attempts:
            attempt.give_up(blame)

    def _with_time_left(self, now_s: float) -> bytes:
        """The request with the budget that is left now."""
        message = pb.ModelInferRequest.FromString(self._data)
        if "deadline_ms" in message.parameters:
            budget = message.parameters["deadline_ms"]
            budget.double_param = max(0.0, budget.double_param - (now_s - self.begin_s) * 1e3)
        return bytes(message.SerializeToString())

    def _end(self, reply: pb.ModelInferResponse | None = None, error: LinkError | None = None) -> None:
        self._finish()
        if self._waiter.done():
            return
        try:
            if reply is not None:
                self._waiter.set_result(reply)
            else:
                self._waiter.set_exception(error)
        except InvalidStateError:
            pass  # another thread has given up in this moment

    def _finish(self) -> None:
        if not self._over and self._attempts:
            self._failover.in_flight -= 1
        self._over = True


class Attempt:
    """One server asked once: where its answer goes."""

    __slots__ = ("_begin_s", "_delivery", "_missed", "over", "way")

    def __init__(self, delivery: Delivery, way: Way, begin_s: float) -> None:
        self.way = way
        self.over = False
        self._missed = False
        self._delivery = delivery
        self._begin_s = begin_s

    def done(self) -> bool:
        """Whether it has been answered or given up."""
        return self.over

    def set_result(self, reply: pb.ModelInferResponse, /) -> None:
        """The server's answer."""
        self.over = True
        peer, admission = self.way
        if self._missed:
            peer.breaker.alive()
            return
        peer.latencies_s.append(self._delivery._failover.now() - self._begin_s)
        peer.breaker.record(admission, True)
        self._delivery.answered(reply)

    def set_exception(self, error: LinkError, /) -> None:
        """It did not answer; one that refuses is alive."""
        self.over = True
        self.way.peer.breaker.record(self.way.admission, isinstance(error, PeerRefused | PayloadTooLarge))
        self._delivery.failed(error)

    def miss(self) -> None:
        """The deadline has passed: a failure, but an answer may still come and show that the server is alive."""
        if not self.over and not self._missed:
            self._missed = True
            self.way.peer.breaker.record(self.way.admission, False)

    def give_up(self, blame: bool) -> None:
        """Nobody waits any more. A server that had less time than its answers usually take is not to blame."""
        if self.over:
            return
        self.over = True
        peer, admission = self.way
        peer.upstream.forget(self._delivery.request_id)
        usual_s = peer.latency_quantile_s(0.5)
        if (
            blame
            and not self._missed
            and (usual_s is None or self._delivery._failover.now() - self._begin_s >= usual_s)
        ):
            peer.breaker.record(admission, False)


class _Nobody:
    """Takes answers nobody waits for."""

    def done(self) -> bool:
        return True

    def set_result(self, result: object, /) -> None:
        """Not called: it is done."""

    def set_exception(self, exception: object, /) -> None:
        """Not called: it is done."""
