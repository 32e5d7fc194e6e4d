"""The device: ask it, and it answers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.pace import Pace
from offramp.cascade.sample import check_rows
from offramp.cascade.store import Cascade
from offramp.cascade.walk import NO_EXIT
from offramp.errors import ConfigError
from offramp.planning.plan import Plan
from offramp.runtime.answer import Answer
from offramp.runtime.counters import Counters
from offramp.runtime.failover import Failover
from offramp.runtime.first_exit import FirstExit
from offramp.runtime.loop import run_in_background
from offramp.runtime.offload import Offload
from offramp.runtime.route import Route
from offramp.runtime.stamps import Stamps
from offramp.runtime.tier import Tier, TierRun
from offramp.runtime.tolerance import FaultTolerance
from offramp.runtime.upstreams import upstream_to

__all__ = ["Device"]

Array = NDArray[Any]
#: one sample: an array, or several; a text or two where the cascade reads text
Sample = Array | Sequence[Array] | str | Sequence[str]

#: seconds within which every sample is answered unless the caller says otherwise
DEFAULT_DEADLINE_S = 30.0
#: seconds to wait for the next tier at the start; without it the device answers alone
CONNECT_S = 2.0


class Device:
    """The first tier: runs its part of the plan and asks the next tier for the rest.

    It always answers. When the link is down, the peer refuses or the deadline comes near, the caller
    gets the best exit computed so far (or the first one, computed then), with ``degraded`` saying why.

    Parameters
    ----------
    cascade : the opened cascade
    plan : what to follow; `switch` changes it
    upstream : ``HOST:PORT`` of the next tier, or several, the preferred first; needed if the plan goes beyond the
        device
    tier : this tier's name in the plan; default: the plan's first
    slow_down : run that many times slower than this machine
    deadline_s : seconds from asking to answer; default: 30
    stamped : have every answer say when each tier did what; costs some bytes of every message
    tolerance : when to stop asking a server of the next tier, how much to ask twice

    Raises
    ------
    ConfigError : the plan needs an upstream and none was given, or a setting is out of range
    RecordMismatch : the plan belongs to another cascade

    Examples
    --------
    >>> from offramp.cascade.store import open_cascade
    >>> cascade = open_cascade(getfixture("tiny_cascade"))
    >>> plan = Plan(cascade="tiny", cascade_fingerprint=cascade.manifest.fingerprint, tiers=("device",),
    ...             placement=("device", "device"), gates=[{"threshold": 0.0}], temperatures=(1.0, 1.0))
    >>> with Device(cascade, plan) as device:
    ...     answer = device.infer(np.zeros(4, np.float32))
    >>> answer.exit, answer.tier, answer.degraded
    (0, 'device', None)
    """

    def __init__(
        self,
        cascade: Cascade,
        plan: Plan,
        upstream: str | Sequence[str] | None = None,
        *,
        tier: str | None = None,
        slow_down: float = 1.0,
        deadline_s: float | None = None,
        stamped: bool = False,
        tolerance: FaultTolerance | None = None,
    ) -> None:
        if deadline_s is not None and not deadline_s > 0:
            raise ConfigError(f"deadline_s must be a positive number of seconds, not {deadline_s}")
        if not slow_down >= 1:
            raise ConfigError(f"slow_down must be at least 1, not {slow_down}")
        self.deadline_s = DEFAULT_DEADLINE_S if deadline_s is None else deadline_s
        self.manifest = cascade.manifest
        self._reader = cascade.reader()
        self._tier = Tier(cascade, tier or plan.tiers[0], [plan], slow_down=slow_down)
        # reading an array is no work of the network: only tokenising takes a slow device longer
        self._read_pace = Pace() if self._reader.tokenizer is None else self._tier.pace
        self._name = self._tier.name
        self._now = self._tier.clock.now
        self._counters = self._tier.counters
        self._addresses = (upstream,) if isinstance(upstream, str) else tuple(upstream or ())
        self._upstream: Failover | None = None
        self._stamped = stamped
        self._worker: ThreadPoolExecutor | None = None
        self.switch(plan)
        if self._addresses:
            self._upstream = run_in_background(self._connect(self._addresses, tolerance))

    async def _connect(self, addresses: Sequence[str], tolerance: FaultTolerance | None) -> Failover:
        upstream = Failover([upstream_to(address, self._tier) for address in addresses], self._now, tolerance)
        upstream.start()
        await upstream.wait_connected(CONNECT_S)
        return upstream

    def switch(self, plan: Plan) -> None:
        """Follow another plan from the next sample on; not while one is being answered.

        Raises
        ------
        ConfigError, RecordMismatch : the plan does not fit
        """
        route = self._tier.add(plan)
        if route.next_tier is not None and not self._addresses:
            raise ConfigError(
                f"the plan goes on to tier {route.next_tier!r}, but no upstream was given; pass its HOST:PORT"
            )
        alone = any(self._tier.exit_of[index] is not None for index in range(route.stop))
        self._tier.warm(route, 0, route.stop if alone else self._tier.next_exit(route.stop))
        self._route: Route = route
        quick = not self._stamped and FirstExit.possible(self._tier, route)
        self._first = FirstExit(self._tier, route) if quick else None

    @property
    def plan(self) -> Plan:
        """The plan it follows."""
        return self._route.plan

    @property
    def counters(self) -> Counters:
        """What it has counted."""
        return self._counters

    @property
    def connected(self) -> bool:
        """Whether there is a link to the next tier right now."""
        return self._upstream is not None and self._upstream.connected

    def infer(self, sample: Sample) -> Answer:
        """Answer one sample.

        Parameters
        ----------
        sample : what the cascade takes, without the row dimension; several arrays if it takes several;
            a text, or two, if it reads text

        Raises
        ------
        SampleError : wrong dtype or shape, NaN or infinity
        """
        begin_s = self._now()
        first = self._first
        if first is None:
            run = self._run(self._one_row(sample), begin_s)
        else:
            row = first.rows(sample)  # type: ignore[arg-type]  # anything else is refused there
            ran_s = self._now()
            values = first.run(row)
            confidence = values[2].item()
            end_s = self._now()
            if confidence >= first.threshold:
                return self._left_first(first, values, confidence, ran_s, begin_s, end_s)
            if first.asks_gate and first.leaves(values):
                return self._left_first(first, values, confidence, ran_s, begin_s, self._now())
            run = self._run_on(first, values, end_s - ran_s, begin_s)
        if not len(run.survivors):
            return self._answers(run, None, begin_s)[0]
        offload = self._offload(run, begin_s).begin()
        offload.wait()
        offload.finish()
        return self._answers(run, offload, begin_s)[0]

    def infer_batch(self, samples: Array | Sequence[Array]) -> list[Answer]:
        """Answer n rows together: one array (n, ...), or one for each input; one request for all survivors.

        Text comes as arrays (n,) of ``str`` with dtype object.

        Raises
        ------
        SampleError : wrong dtype or shape, no row, NaN or infinity
        """
        begin_s = self._now()
        inputs = (samples,) if isinstance(samples, np.ndarray) else tuple(samples)
        run = self._run(check_rows(self.manifest, self._read_pace.run(self._reader, inputs)), begin_s)
        offload = None
        if len(run.survivors):
            offload = self._offload(run, begin_s).begin()
            offload.wait()
            offload.finish()
        return self._answers(run, offload, begin_s)

    async def infer_async(self, sample: Sample) -> Answer:
        """Answer one sample without blocking the event loop.

        Several may be under way, but the device computes and encodes one after the other, first come first served.

        Raises
        ------
        SampleError : wrong dtype or shape, NaN or infinity
        """
        begin_s = self._now()
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="device")
        begun = asyncio.get_running_loop().run_in_executor(self._worker, self._begin, sample, begin_s)
        run, offload, started_s = await begun
        if offload is not None:
            await offload.wait_async()
            await asyncio.to_thread(offload.finish)
        return self._answers(run, offload, begin_s, started_s)[0]

    def _begin(self, sample: Sample, begin_s: float) -> tuple[TierRun, Offload | None, float]:
        """The device's part of one sample, what goes on sent; and when its turn came."""
        started_s = self._now()
        run = self._run(self._one_row(sample), begin_s)
        return run, self._offload(run, begin_s).begin() if len(run.survivors) else None, started_s

    def close(self) -> None:
        """Close the link; may be called twice."""
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.shutdown(wait=False)
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            run_in_background(upstream.close())

    def __enter__(self) -> Device:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Device({self.manifest.name!r}, plan={self._route.plan_id!r}, upstream={', '.join(self._addresses)!r})"

    def _one_row(self, sample: Sample) -> tuple[Array, ...]:
        return check_rows(self.manifest, self._read_pace.run(self._reader.row, sample))

    def _run(self, inputs: tuple[Array, ...], begin_s: float) -> TierRun:
        return self._tier.run(self._route, 0, inputs, begin_s + self.deadline_s)

    def _run_on(self, first: FirstExit, values: list[Array], seconds: float, begin_s: float) -> TierRun:
        """The rest of the device's part for a sample that did not leave at the first exit."""
        tier, route, deadline_s = self._tier, self._route, begin_s + self.deadline_s
        for index in range(first.cut):
            self._counters.rows_executed[index] += 1
        rows, tensors = first.as_rows(values, self._name, seconds), tuple(values[3:])
        labels = values[0][None] if first.keeps_label else None
        run = TierRun(rows, np.zeros(1, np.intp), tensors, first.cut, labels)
        if first.cut >= route.stop:
            return run
        if not tier.in_time(route, first.cut, route.stop, 1, deadline_s):
            run.rows.mark("deadline")
            run.survivors = np.empty(0, np.intp)
            return run
        deeper = tier.run(route, first.cut, tensors, deadline_s, labels)
        if deeper.rows.exit[0] == NO_EXIT:
            rows.add_seconds(deeper.rows)
            deeper.rows = rows
        else:
            deeper.rows.add_seconds(rows)
        return deeper

    def _offload(self, run: TierRun, begin_s: float) -> Offload:
        return Offload(self._tier, self._route, run, begin_s + self.deadline_s, self._upstream, self._stamped)

    def _left_first(
        self, first: FirstExit, values: list[Array], confidence: float, ran_s: float, begin_s: float, end_s: float
    ) -> Answer:
        counters = self._counters
        counters.requests += 1
        counters.rows += 1
        for index in range(first.cut):
            counters.rows_executed[index] += 1
        counters.exit_rows[0] += 1
        latency_s = end_s - begin_s
        counters.add_latency(latency_s)
        name = self._name
        return Answer(values[0].item(), values[1][0], confidence, 0, name, latency_s, None, {name: end_s - ran_s}, 0)

    def _stamps(
        self, run: TierRun, offload: Offload | None, begin_s: float, started_s: float, left_s: float
    ) -> dict[str, Stamps]:
        """When every tier did what; reading the sample counts as the device's part."""
        times_s = (left_s, left_s, left_s) if offload is None else (offload.begun_s, offload.sent_s, offload.heard_s)
        mine = Stamps(*accumulate((begin_s, started_s, started_s, *times_s, left_s), max))
        return {self._name: mine, **run.rows.stamps}

    def _answers(self, run: TierRun, offload: Offload | None, begin_s: float, started_s: float = 0.0) -> list[Answer]:
        """The rows as answers, counted."""
        rows, counters, count = run.rows, self._counters, len(run.rows)
        sent = [0] * count
        if offload is not None and offload.sent_bytes:
            for index in run.survivors.tolist():
                sent[index] = offload.sent_bytes // len(run.survivors)
            counters.bytes_out += offload.sent_bytes
            counters.bytes_in += offload.reply.ByteSize() if offload.reply is not None else 0
        counters.requests += 1
        counters.rows += count
        compute_s = {tier: seconds / count for tier, seconds in rows.compute_s.items()}
        end_s = self._now()
        latency_s = end_s - begin_s
        counters.add_latency(latency_s)
        stamps = self._stamps(run, offload, begin_s, started_s, end_s) if self._stamped else None
        answers = []
        for index in range(count):
            tier, reason, exit_index = rows.tier[index], rows.degraded[index], int(rows.exit[index])
            if tier == self._name:
                counters.exit_rows[exit_index] += 1
            if reason:
                counters.add_degraded(reason)
            answers.append(
                Answer(
                    int(rows.label[index]),
                    rows.probabilities[index],
                    float(rows.confidence[index]),
                    exit_index,
                    tier,
                    latency_s,
                    reason or None,
                    compute_s,
                    sent[index],
                    stamps,
                )
            )
        return answers
