"""Answering requests on a tier: its part of the plan, and the survivors' way on."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import accumulate

from offramp.errors import DeadlineExceeded, LinkDown, LinkError, SampleError
from offramp.runtime.earlier import EARLIER_LABELS, parse_labels
from offramp.runtime.failover import Failover
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.requests import Header, build_request, parse_header, parse_tensors
from offramp.runtime.responses import add_stamps, build_response, parse_response
from offramp.runtime.route import Route
from offramp.runtime.stamps import Stamps
from offramp.runtime.status import status_of
from offramp.runtime.tier import Tier, TierRun
from offramp.runtime.tracing import RequestSpan

__all__ = ["Answering", "Job"]

#: computing longer than this happens in a thread, so that health checks are answered meanwhile
INLINE_S = 0.002
#: share of the remaining time, and least seconds, kept for bringing an answer back
KEEP_SHARE, KEEP_S = 0.05, 0.002


@dataclass(slots=True)
class Job:
    """A request under way; ``response`` is there when it is done, ``run`` when this tier has computed.

    ``payloads`` are the survivors' tensors, encoded. The seconds stay 0 for what does not happen here.
    """

    message: pb.ModelInferRequest
    request_id: str
    header: Header
    route: Route
    begin_s: float
    deadline_s: float | None
    span: RequestSpan
    run: TierRun | None = None
    payloads: list[bytes] = field(default_factory=list)
    response: pb.ModelInferResponse | None = None
    started_s: float = 0.0
    decoded_s: float = 0.0
    computed_s: float = 0.0
    sent_s: float = 0.0
    heard_s: float = 0.0

    def stamps(self, now_s: float) -> Stamps:
        """When this tier did what, if it is done now."""
        times_s = (self.begin_s, self.started_s, self.decoded_s, self.computed_s, self.sent_s, self.heard_s, now_s)
        return Stamps(*accumulate(times_s, max))


class Answering:
    """Answers requests: computes what the plan gives this tier, sends the survivors on.

    What is short is done at once in `start`, so that it costs no turn of the event loop; the rest
    in `complete`.

    Parameters
    ----------
    tier : computes and decides
    upstream : the next tier, where there is one; started by the caller
    """

    def __init__(self, tier: Tier, upstream: Failover | None = None) -> None:
        self.tier = tier
        self.upstream = upstream
        self.draining = False
        self.in_flight = 0
        self._clock = tier.clock
        self._counters = tier.counters
        self._worker = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._queued = 0

    def close(self) -> None:
        """Let the compute thread end; what is queued is dropped."""
        self._worker.shutdown(wait=False, cancel_futures=True)

    async def answer(self, message: pb.ModelInferRequest) -> pb.ModelInferResponse:
        """Answer one request: `start`, then `complete`.

        Raises
        ------
        OfframpError : it cannot be answered; `status_of` names the code
        """
        return await self.complete(self.start(message))

    def start(self, message: pb.ModelInferRequest) -> Job:
        """Check a request, and compute this tier's part if that is short and nobody is ahead of it.

        Raises
        ------
        OfframpError : it cannot be answered
        """
        begin_s = self._clock.now()
        self._counters.requests += 1
        self._counters.bytes_in += message.ByteSize()
        job: Job | None = None
        try:
            job = self._accept(message, begin_s)
            if not self._queued and self._is_short(job):
                job.run = self._compute(job)
                if not len(job.run.survivors):
                    self._respond(job)
        except Exception as error:
            if job is not None:
                job.span.end(error)
            self._counters.add_error(status_of(error).name)
            raise
        return job

    async def complete(self, job: Job) -> pb.ModelInferResponse:
        """Do what is left of a job.

        Raises
        ------
        OfframpError : it cannot be answered
        """
        if job.response is not None:
            return job.response
        self.in_flight += 1
        try:
            if job.header.cut >= job.route.stop:
                response = await self._pass_on(job)
                return self._done(job, response)
            if job.run is None:
                job.run = await self._compute_in_turn(job)
            if len(job.run.survivors):
                await self._go_on(job, job.run)
            return self._respond(job)
        except Exception as error:
            job.span.end(error)
            self._counters.add_error(status_of(error).name)
            raise
        finally:
            self.in_flight -= 1

    def _accept(self, message: pb.ModelInferRequest, begin_s: float) -> Job:
        if self.draining:
            raise LinkDown(f"tier {self.tier.name!r} is shutting down")
        header = parse_header(message, self.tier.manifest)
        deadline_s = None if header.deadline_s is None else begin_s + header.deadline_s
        route = self.tier.route(header.plan_id)
        exits = self.tier.earlier_exits(route, header.cut)
        if exits and not header.has_labels:
            raise SampleError(
                f"the gates of plan {route.plan_id} compare the answers of the {exits} exits before segment "
                f"{header.cut}; send them as {EARLIER_LABELS!r} (rows, {exits}) INT32"
            )
        self._counters.rows += header.rows
        span = RequestSpan("offramp.tier", message, tier=self.tier.name, segment=header.cut, rows=header.rows)
        return Job(message, message.id, header, route, begin_s, deadline_s, span)

    def _is_short(self, job: Job) -> bool:
        header, stop = job.header, job.route.stop
        return header.cut < stop and self.tier.expected_s(job.route, header.cut, stop, header.rows) < INLINE_S

    def _compute(self, job: Job) -> TierRun:
        start_s = self._clock.now()
        if job.deadline_s is not None and start_s > job.deadline_s:
            raise DeadlineExceeded(f"tier {self.tier.name!r} had other work until the deadline had passed")
        job.started_s = start_s
        tensors = parse_tensors(job.message, job.header, self.tier.manifest, self.tier.pace)
        job.decoded_s = self._clock.now()
        header, labels = job.header, None
        if header.has_labels:
            labels = parse_labels(job.message, self.tier.manifest, header.cut, header.rows)
        run = self.tier.run(job.route, header.cut, tensors, job.deadline_s, labels)
        run.rows.queue_s[self.tier.name] = start_s - job.begin_s
        job.computed_s = self._clock.now()
        if len(run.survivors) and self.upstream is not None:
            job.payloads = [self.tier.pace.run(job.route.codec.encode, tensor) for tensor in run.tensors]
        return run

    async def _compute_in_turn(self, job: Job) -> TierRun:
        """In the one compute thread, after those who came before."""
        self._queued += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._worker, self._compute, job)
        finally:
            self._queued -= 1

    async def _go_on(self, job: Job, run: TierRun) -> None:
        """Have the survivors answered by the next tier, or by the exit they have, degraded."""
        manifest, route, survivors = self.tier.manifest, job.route, run.survivors
        try:
            upstream, timeout_s = self._next(route), self._timeout_s(job.deadline_s)
            specs = manifest.tensors_at(run.cut)
            request = build_request(
                manifest.name,
                run.cut,
                route.plan_id,
                timeout_s,
                route.codec,
                specs,
                run.tensors,
                job.payloads,
                run.earlier_labels,
                job.header.stamped,
            )
            job.span.carry(request)
            reply = await self._send(job, upstream, request, timeout_s)
            run.rows.put(survivors, parse_response(reply, len(survivors), manifest, route.next_tier or ""))
        except LinkError as error:
            if not run.rows.answered:
                raise
            run.rows.mark(error.reason, survivors)

    async def _pass_on(self, job: Job) -> pb.ModelInferResponse:
        """Nothing to compute here: the request goes on as it came, with the time that is left."""
        upstream, timeout_s = self._next(job.route), self._timeout_s(job.deadline_s)
        message = job.message
        message.parameters["plan"].string_param = job.route.plan_id
        if timeout_s is not None:
            message.parameters["deadline_ms"].double_param = timeout_s * 1e3
        job.span.carry(message)
        response = await self._send(job, upstream, message, timeout_s)
        response.id = job.request_id
        if job.header.stamped:
            add_stamps(response, self.tier.name, job.stamps(self._clock.now()))
        return response

    async def _send(
        self, job: Job, upstream: Failover, request: pb.ModelInferRequest, timeout_s: float | None
    ) -> pb.ModelInferResponse:
        job.sent_s = self._clock.now()
        try:
            return await upstream.send(request, timeout_s)
        finally:
            job.heard_s = self._clock.now()

    def _next(self, route: Route) -> Failover:
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

    def _respond(self, job: Job) -> pb.ModelInferResponse:
        """The response for computed rows; counts the rows that leave here."""
        assert job.run is not None
        rows, name, counters = job.run.rows, self.tier.name, self._counters
        if job.header.stamped:
            rows.stamps[name] = job.stamps(self._clock.now())
        for tier, exit_index, reason in zip(rows.tier, rows.exit.tolist(), rows.degraded, strict=True):
            if tier == name:
                counters.exit_rows[exit_index] += 1
                if reason:
                    counters.add_degraded(reason)
        return self._done(job, build_response(self.tier.manifest.name, job.request_id, rows, job.header.outputs))

    def _done(self, job: Job, response: pb.ModelInferResponse) -> pb.ModelInferResponse:
        self._counters.bytes_out += response.ByteSize()
        self._counters.add_latency(self._clock.now() - job.begin_s)
        job.span.end()
        job.response = response
        return response
