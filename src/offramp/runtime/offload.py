"""Sending survivors to the next tier and getting their answers, or answering for it."""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future
from dataclasses import dataclass

from offramp.cascade.walk import NO_EXIT
from offramp.errors import DeadlineExceeded, LinkDown, LinkError
from offramp.runtime.delivery import Delivery
from offramp.runtime.failover import Failover
from offramp.runtime.loop import background_loop
from offramp.runtime.promise import Promise
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.responses import parse_response
from offramp.runtime.route import Route
from offramp.runtime.tier import Tier, TierRun
from offramp.runtime.tracing import RequestSpan

__all__ = ["Offload"]

_log = logging.getLogger(__name__)

#: seconds kept for handing an answer to the caller
MARGIN_S = 0.002


@dataclass(slots=True)
class Offload:
    """One request on its way: `begin`, then `wait` (or `wait_async`), then `finish`.

    ``sent_bytes`` is the size of the request, 0 when it never left; it was begun at ``begun_s``, left at
    ``sent_s``, and the reply was there, or was given up, at ``heard_s``. ``stamped``: the tiers beyond are
    to say when they did what. ``blocking``: it is `wait` that will be called, not `wait_async`.
    """

    tier: Tier
    route: Route
    run: TierRun
    deadline_s: float
    upstream: Failover | None
    stamped: bool = False
    blocking: bool = False
    request_id: str = ""
    sent_bytes: int = 0
    begun_s: float = 0.0
    sent_s: float = 0.0
    heard_s: float = 0.0
    reply: pb.ModelInferResponse | None = None
    error: LinkError | None = None
    _delivery: Delivery | None = None
    _waiter: Promise | Future[pb.ModelInferResponse] | None = None
    _until_s: float = 0.0
    _span: RequestSpan | None = None

    def begin(self) -> Offload:
        """Send the survivors; when there is no link, remember why."""
        self.begun_s = self.tier.clock.now()
        if self.upstream is None:
            self.error = LinkDown("the device has no upstream")
            return self
        choice = self.upstream.choose()
        if choice.way is None:
            self.error = choice.error
            if not choice.probes:
                return self
        self._until_s = self._latest_s()
        left_s = self._until_s - self.begun_s
        if left_s <= 0:
            self.error = self.error or DeadlineExceeded("no time left for the next tier")
            return self
        data = self._request(left_s)
        self.sent_bytes = len(data)
        waiter: Promise | Future[pb.ModelInferResponse] = Promise() if self.blocking else Future()
        self._delivery = Delivery(self.upstream, choice, self.request_id, data, waiter, self._until_s)
        if choice.way is not None:
            self._waiter = waiter
        self.sent_s = self.tier.clock.now()
        background_loop().call_soon_threadsafe(self._delivery.start)
        return self

    def _request(self, left_s: float) -> bytes:
        assert self.upstream is not None
        tier, route, run = self.tier, self.route, self.run
        payloads = [tier.pace.run(route.codec.encode, tensor) for tensor in run.tensors]
        recurring, message = tier.templates.parts(
            route, run.cut, run.tensors, payloads, run.earlier_labels, self.stamped
        )
        self.request_id = message.id = self.upstream.new_id()
        message.parameters["deadline_ms"].double_param = left_s * 1e3
        self._span = RequestSpan("offramp.offload", tier=tier.name, segment=run.cut, rows=len(run.survivors))
        self._span.carry(message)
        return recurring + bytes(message.SerializeToString())

    def _latest_s(self) -> float:
        """Until when to wait: where no exit was computed yet, the device needs time to do so itself."""
        latest_s = self.deadline_s - MARGIN_S
        if self._answered:
            return latest_s
        cut = self.run.cut
        early_s = latest_s - self.tier.expected_s(self.route, cut, self.tier.next_exit(cut), len(self.run.survivors))
        # what cannot be in time anyway may as well wait to the end for the better answer
        return early_s if early_s > self.tier.clock.now() else latest_s

    def fall_back(self) -> None:
        """The device has an answer after all: it may wait to the end."""
        self._until_s = max(self._until_s, self.deadline_s - MARGIN_S)

    @property
    def must_compute(self) -> bool:
        """Whether `finish` has to compute an exit."""
        return self.reply is None and not self._answered

    @property
    def _answered(self) -> bool:
        exits, survivors = self.run.rows.exit, self.run.survivors
        return NO_EXIT not in (exits if len(survivors) == len(exits) else exits[survivors]).tolist()

    def wait(self) -> None:
        """Block until the reply is there or the time is up."""
        if self._waiter is not None:
            try:
                self.reply = self._waiter.result(max(0.0, self._until_s - self.tier.clock.now()))
            except TimeoutError:
                self._give_up()
            except LinkError as error:
                self.error = error
            self.heard_s = self.tier.clock.now()

    async def wait_async(self) -> None:
        """The same, without blocking the caller's event loop."""
        if self._waiter is not None:
            assert isinstance(self._waiter, Future)
            try:
                async with asyncio.timeout(max(0.0, self._until_s - self.tier.clock.now())):
                    self.reply = await asyncio.wrap_future(self._waiter)
            except TimeoutError:
                self._give_up()
            except LinkError as error:
                self.error = error
            self.heard_s = self.tier.clock.now()

    def _give_up(self) -> None:
        assert self.upstream is not None
        assert self._delivery is not None
        background_loop().call_soon_threadsafe(self._delivery.give_up)
        self.error = DeadlineExceeded(f"{self.upstream.address}: no answer within the deadline")

    def finish(self) -> None:
        """Write the answers into the rows: the reply's, or else the best the device has."""
        self._write()
        if self._span is not None:
            self._span.end(self.error)

    def _write(self) -> None:
        rows, survivors = self.run.rows, self.run.survivors
        if self.reply is not None:
            try:
                name = self.route.next_tier or ""
                found = parse_response(self.reply, len(survivors), self.tier.manifest, name)
                if len(survivors) == len(rows):
                    found.add_seconds(rows)
                    self.run.rows = found
                else:
                    rows.put(survivors, found)
                return
            except LinkError as error:
                self.error = error
        assert self.error is not None
        if self.upstream is not None and self.upstream.first_time(self.error):
            _log.warning("the device answers alone: %s", self.error)
        if not self._answered:
            rows.put(survivors, self.tier.run_to_exit(self.route, self.run.cut, self.run.tensors).rows)
        rows.mark(self.error.reason, survivors)
