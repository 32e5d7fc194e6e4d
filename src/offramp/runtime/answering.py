"""Answering requests on a tier: its part of the plan, and the survivors' way on."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from offramp.errors import DeadlineExceeded, LinkDown, LinkError
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.requests import Header, build_request, parse_header, parse_tensors
from offramp.runtime.responses import build_response, parse_response
from offramp.runtime.route import Route
from offramp.runtime.status import status_of
from offramp.runtime.tier import Tier, TierRun
from offramp.runtime.upstream import Upstream

__all__ = ["Answering"]

#: computing longer than this happens in a thread, so that health checks are answered meanwhile
INLINE_S = 0.002
#: share of the remaining time, and least seconds, kept for bringing an answer back
KEEP_SHARE, KEEP_S = 0.05, 0.002


class Answering:
    """Answers requests: computes what the plan gives this tier, sends the survivors on.

    Parameters
    ----------
    tier : computes and decides
    upstream : the next tier, where there is one; started by the caller
    """

    def __init__(self, tier: Tier, upstream: Upstream | None = None) -> None:
        self.tier = tier
        self.upstream = upstream
        self.draining = False
        self.in_flight = 0
        self._clock = tier.clock
        self._counters = tier.counters
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._busy = 0

    def close(self) -> None:
        """Let the compute thread end; what is queued is dropped."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    async def answer(self, message: pb.ModelInferRequest) -> pb.ModelInferResponse:
        """Answer one request.

        Raises
        ------
        OfframpError : it cannot be answered; `status_of` names the code
        """
        begin_s = self._clock.now()
        counters = self._counters
        counters.requests += 1
        counters.bytes_in += message.ByteSize()
        self.in_flight += 1
        try:
            if self.draining:
                raise LinkDown(f"tier {self.tier.name!r} is shutting down")
            response = await self._answer(message, begin_s)
        except Exception as error:
            counters.add_error(status_of(error).name)
            raise
        finally:
            self.in_flight -= 1
            counters.add_latency(self._clock.now() - begin_s)
        counters.bytes_out += response.ByteSize()
        return response

    async def _answer(self, message: pb.ModelInferRequest, begin_s: float) -> pb.ModelInferResponse:
        header = parse_header(message, self.tier.manifest)
        route = self.tier.route(header.plan_id)
        self._counters.rows += header.rows
        deadline_s = None if header.deadline_s is None else begin_s + header.deadline_s
        if header.cut >= route.stop:
            return await self._pass_on(message, route, deadline_s)
        run, queue_s = await self._compute(message, header, route, begin_s, deadline_s)
        run.rows.queue_s[self.tier.name] = queue_s
        if len(run.survivors):
            await self._go_on(run, route, deadline_s)
        self._count(run)
        return build_response(self.tier.manifest.name, message.id, run.rows, header.outputs)

    async def _compute(
        self, message: pb.ModelInferRequest, header: Header, route: Route, begin_s: float, deadline_s: float | None
    ) -> tuple[TierRun, float]:
        """Run this tier's part: here when it is short, else in the one compute thread."""
        clock = self._clock

        def work() -> tuple[TierRun, float]:
            start_s = clock.now()
            if deadline_s is not None and start_s > deadline_s:
                raise DeadlineExceeded(f"tier {self.tier.name!r} had other work until the deadline had passed")
            tensors = parse_tensors(message, header, self.tier.manifest, self.tier.pace)
            return self.tier.run(route, header.cut, tensors, deadline_s), start_s - begin_s

        if not self._busy and self.tier.expected_s(header.cut, route.stop, header.rows) < INLINE_S:
            return work()
        self._busy += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, work)
        finally:
            self._busy -= 1

    async def _go_on(self, run: TierRun, route: Route, deadline_s: float | None) -> None:
        """Have the survivors answered by the next tier, or by the exit they have, degraded."""
        manifest, survivors = self.tier.manifest, run.survivors
        try:
            upstream = self._next(route)
            payloads = [self.tier.pace.run(route.codec.encode, tensor) for tensor in run.tensors]
            timeout_s = self._timeout_s(deadline_s)
            specs = manifest.tensors_at(run.cut)
            request = build_request(
                manifest.name, run.cut, route.plan_id, timeout_s, route.codec, specs, run.tensors, payloads
            )
            reply = await upstream.send(request, timeout_s)
            run.rows.put(survivors, parse_response(reply, len(survivors), manifest, route.next_tier or ""))
        except LinkError as error:
            if not run.rows.answered:
                raise
            run.rows.mark(error.reason, survivors)

    async def _pass_on(
        self, message: pb.ModelInferRequest, route: Route, deadline_s: float | None
    ) -> pb.ModelInferResponse:
        """Nothing to compute here: the request goes on as it came, with the time that is left."""
        upstream = self._next(route)
        client_id = message.id
        timeout_s = self._timeout_s(deadline_s)
        if timeout_s is not None:
            message.parameters["deadline_ms"].double_param = timeout_s * 1e3
        message.parameters["plan"].string_param = route.plan_id
        response = await upstream.send(message, timeout_s)
        response.id = client_id
        return response

    def _next(self, route: Route) -> Upstream:
        if self.upstream is None or route.next_tier is None:
            raise LinkDown(f"tier {self.tier.name!r} has no upstream; start it with --upstream HOST:PORT")
        return self.upstream

    def _timeout_s(self, deadline_s: float | None) -> float | None:
        """Seconds the next tier may take."""
        if deadline_s is None:
            return None
        left_s = deadline_s - self._clock.now()
        left_s -= max(KEEP_S, KEEP_SHARE * left_s)
        if left_s <= 0:
            raise DeadlineExceeded(f"tier {self.tier.name!r} has no time left for the next tier")
        return left_s

    def _count(self, run: TierRun) -> None:
        rows, name, counters = run.rows, self.tier.name, self._counters
        for index, tier in enumerate(rows.tier):
            if tier == name:
                counters.exit_rows[rows.exit[index]] += 1
                if rows.degraded[index]:
                    counters.add_degraded(rows.degraded[index])
