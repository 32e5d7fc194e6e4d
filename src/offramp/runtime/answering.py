"""Answering requests on a tier: its part of the plan, and the survivors' way on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from offramp.errors import DeadlineExceeded, LinkDown, LinkError, Overloaded, SampleError
from offramp.runtime.batcher import Batcher
from offramp.runtime.control import LINK_BYTES
from offramp.runtime.earlier import EARLIER_LABELS, parse_labels
from offramp.runtime.failover import Failover
from offramp.runtime.job import Job
from offramp.runtime.limits import Limits
from offramp.runtime.parameters import deadline_parameter
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.replies import write_response
from offramp.runtime.requests import build_request, parse_header, parse_tensors
from offramp.runtime.responses import add_stamps, parse_response
from offramp.runtime.route import Route
from offramp.runtime.rows import Rows
from offramp.runtime.status import status_of
from offramp.runtime.templates import Arrival
from offramp.runtime.tier import Tier, TierRun
from offramp.runtime.tracing import RequestSpan
from offramp.runtime.work import Work

__all__ = ["Answering"]

#: computing longer than this happens in a thread, so that health checks are answered meanwhile
INLINE_S = 0.002
#: share of the remaining time, and least seconds, kept for bringing an answer back
KEEP_SHARE, KEEP_S = 0.05, 0.002


class Answering:
    """Answers requests: computes what the plan gives this tier, sends the survivors on.

    What is short is done at once in `start`, so that it costs no turn of the event loop; the rest
    in `complete`.

    Parameters
    ----------
    tier : computes and decides
    upstream : the next tier, where there is one; started by the caller
    limits : how much it takes on
    """

    def __init__(self, tier: Tier, upstream: Failover | None = None, limits: Limits | None = None) -> None:
        self.tier = tier
        self.upstream = upstream
        self.draining = False
        self.in_flight = 0
        self._clock = tier.clock
        self._counters = tier.counters
        self.limits = limits or Limits()
        self.batcher = Batcher(tier, self.limits)
        self._in_company = False

    def close(self) -> None:
        """Let the compute thread end; what is queued is dropped."""
        self.batcher.close()

    @property
    def busy(self) -> bool:
        """Whether any request is under way."""
        return bool(self.in_flight) or self.batcher.busy

    async def answer(self, message: pb.ModelInferRequest) -> pb.ModelInferResponse:
        """Answer one request: `start`, then `complete`.

        Raises
        ------
        OfframpError : it cannot be answered; `status_of` names the code
        """
        return pb.ModelInferResponse.FromString(await self.complete(self.start(Arrival(message))))

    def start(self, arrival: Arrival, *, company: bool = False) -> Job:
        """Check a request, and compute this tier's part if that is short and it is alone; else let it wait its turn.

        Belongs to the event loop.

        Parameters
        ----------
        arrival : the request
        company : whether others are known to wait

        Raises
        ------
        OfframpError : it cannot be answered
        """
        begin_s = self._clock.now()
        self._counters.requests += 1
        self._counters.bytes_in += arrival.size
        job: Job | None = None
        try:
            job = self._accept(arrival, begin_s)
            if job.header.cut < job.route.stop:
                self._compute_or_queue(job, company)
        except Exception as error:
            if job is not None:
                job.span.end(error)
            self._counters.add_error(status_of(error).name)
            raise
        return job

    async def complete(self, job: Job) -> bytes:
        """Do what is left of a job; returns the response, serialised.

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
            if job.work is not None:
                job.run = await self.batcher.run(job.work)
            assert job.run is not None
            if len(job.run.survivors):
                await self._go_on(job, job.run)
            return self._respond(job)
        except Exception as error:
            job.span.end(error)
            self._counters.add_error(status_of(error).name)
            raise
        finally:
            self.in_flight -= 1

    def when_computed(self, job: Job, tell: Callable[[bytes | Exception], None]) -> asyncio.Future[TierRun]:
        """`complete` without a task: ``tell`` is called with the response, or why there is none.

        For a job that waits its turn and ends on this tier; cancel what it returns when nobody waits any more.
        """
        assert job.work is not None
        assert job.work.future is not None
        self.in_flight += 1

        def done(future: asyncio.Future[TierRun]) -> None:
            self.in_flight -= 1
            if future.cancelled():
                job.span.end()
                return
            try:
                job.run = future.result()
                tell(self._respond(job))
            except Exception as error:
                job.span.end(error)
                self._counters.add_error(status_of(error).name)
                tell(error)

        job.work.future.add_done_callback(done)
        return job.work.future

    def _accept(self, arrival: Arrival, begin_s: float) -> Job:
        if self.draining:
            raise LinkDown(f"tier {self.tier.name!r} is shutting down")
        if self.in_flight >= self.limits.max_in_flight:
            raise Overloaded(
                f"tier {self.tier.name!r} is overloaded: {self.in_flight} requests are under way, "
                f"at most {self.limits.max_in_flight} may; try again later or ask another server"
            )
        message = arrival.message
        header = arrival.header or parse_header(message, self.tier.manifest)
        budget_s = header.deadline_s if arrival.header is None else deadline_parameter(message)
        deadline_s = None if budget_s is None else begin_s + budget_s
        route = self.tier.route(header.plan_id)
        exits = self.tier.earlier_exits(route, header.cut)
        if exits and not header.has_labels:
            raise SampleError(
                f"the gates of plan {route.plan_id} compare the answers of the {exits} exits before segment "
                f"{header.cut}; send them as {EARLIER_LABELS!r} (rows, {exits}) INT32"
            )
        self._counters.rows += header.rows
        span = RequestSpan("offramp.tier", message, tier=self.tier.name, segment=header.cut, rows=header.rows)
        return Job(message, message.id, header, route, begin_s, deadline_s, span, arrival.contents)

    def _compute_or_queue(self, job: Job, company: bool) -> None:
        """A request that is alone and short goes straight through; any other waits its turn, in company."""
        if not company and self._goes_straight(job):
            self._in_company = True
            asyncio.get_running_loop().call_soon(self._alone_again)
            job.run = self._compute(job)
            if not len(job.run.survivors):
                self._respond(job)
            return
        header = job.header
        job.work = Work(
            job.route,
            header.cut,
            header.shapes,
            job.deadline_s,
            job.begin_s,
            lambda: self._read(job),
            lambda run: self._computed(job, run),
            Rows.unanswered(header.rows, self.tier.classes),
            header.has_labels,
        )
        self.batcher.submit(job.work)

    def _goes_straight(self, job: Job) -> bool:
        header, limits = job.header, self.limits
        return (
            self.tier.engine.inline
            and not self.batcher.busy
            and not self._in_company
            and not limits.max_wait_s
            and header.rows <= limits.max_batch_rows
            and self.tier.expected_s(job.route, header.cut, job.route.stop, header.rows) < INLINE_S
        )

    def _alone_again(self) -> None:
        """The next turn of the event loop: nobody else was there in the last one."""
        self._in_company = False

    def _compute(self, job: Job) -> TierRun:
        if job.deadline_s is not None and self._clock.now() > job.deadline_s:
            raise DeadlineExceeded(f"tier {self.tier.name!r} had other work until the deadline had passed")
        tensors, labels = self._read(job)
        run = self.tier.run(job.route, job.header.cut, tensors, job.deadline_s, labels)
        self._computed(job, run)
        return run

    def _read(self, job: Job) -> tuple[tuple[NDArray[Any], ...], NDArray[Any] | None]:
        """The tensors of a request whose turn has come, and what earlier exits answered."""
        header, manifest = job.header, self.tier.manifest
        job.started_s = self._clock.now()
        tensors = parse_tensors(job.message, header, manifest, self.tier.pace, job.contents)
        labels = parse_labels(job.message, manifest, header.cut, header.rows) if header.has_labels else None
        job.decoded_s = self._clock.now()
        return tensors, labels

    def _computed(self, job: Job, run: TierRun) -> None:
        """This tier's part is done: note when, and encode what goes on."""
        run.rows.queue_s[self.tier.name] = job.started_s - job.begin_s
        job.computed_s = self._clock.now()
        if len(run.survivors) and self.upstream is not None:
            job.payloads = [self.tier.pace.run(job.route.codec.encode, tensor) for tensor in run.tensors]

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

    async def _pass_on(self, job: Job) -> bytes:
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
        for name, crossed in job.link_bytes.items():
            response.parameters[name].int64_param = crossed
        return response.SerializeToString()

    async def _send(
        self, job: Job, upstream: Failover, request: pb.ModelInferRequest, timeout_s: float | None
    ) -> pb.ModelInferResponse:
        job.sent_s = self._clock.now()
        try:
            reply = await upstream.send(request, timeout_s)
        finally:
            job.heard_s = self._clock.now()
        if job.header.stamped:
            job.link_bytes = {f"{LINK_BYTES}.{self.tier.name}": request.ByteSize() + reply.ByteSize()}
            job.link_bytes |= {
                key: value.int64_param for key, value in reply.parameters.items() if key.startswith(LINK_BYTES)
            }
        return reply

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

    def _respond(self, job: Job) -> bytes:
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
        model, outputs = self.tier.manifest.name, job.header.outputs
        return self._done(job, write_response(model, job.request_id, rows, outputs, job.link_bytes))

    def _done(self, job: Job, response: bytes) -> bytes:
        self._counters.bytes_out += len(response)
        self._counters.add_latency(self._clock.now() - job.begin_s)
        self._counters.add_stages(job.begin_s, job.started_s, job.decoded_s, job.computed_s, job.sent_s, job.heard_s)
        job.span.end()
        job.response = response
        return response
