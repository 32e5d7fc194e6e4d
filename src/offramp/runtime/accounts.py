"""Rows become answers, and what there was is counted."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import accumulate
from typing import Any

from numpy.typing import NDArray

from offramp.runtime.answer import Answer
from offramp.runtime.audit_log import Heard
from offramp.runtime.first_exit import FirstExit
from offramp.runtime.offload import Offload
from offramp.runtime.policy_hook import PolicyHook
from offramp.runtime.spooler import Spooler
from offramp.runtime.stamps import Stamps
from offramp.runtime.tier import Tier, TierRun

__all__ = ["Accounts"]

Array = NDArray[Any]


class Accounts:
    """Makes a device's answers of what its tiers found.

    Parameters
    ----------
    tier : the device
    stamped : whether answers say when each tier did what
    """

    def __init__(self, tier: Tier, stamped: bool) -> None:
        #: takes samples that were not answered where they should have been
        self.spooler: Spooler | None = None
        #: told of every finished offload
        self.observe: Callable[[TierRun, Offload], None] | None = None
        #: told of every answer, with the row it answers and the id of the plan
        self.audit: Callable[[tuple[Array, ...], Answer, str, Heard | None], None] | None = None
        #: told what became of the samples its policy decided on
        self.hook: PolicyHook | None = None
        self._name = tier.name
        self._now: Callable[[], float] = tier.clock.now
        self._counters = tier.counters
        self._stamped = stamped

    def answers(
        self,
        run: TierRun,
        offload: Offload | None,
        begin_s: float,
        inputs: tuple[Array, ...],
        plan_id: str,
        started_s: float = 0.0,
    ) -> list[Answer]:
        """The rows as answers, counted; undelivered ones spooled.

        Parameters
        ----------
        run, offload : finished
        begin_s, started_s : when it was asked, and when its turn came
        inputs : of the rows
        plan_id : of the plan followed
        """
        rows, counters, count = run.rows, self._counters, len(run.rows)
        sent = self._sent_bytes(run, offload)
        counters.requests += 1
        counters.rows += count
        compute_s = {tier: seconds / count for tier, seconds in rows.compute_s.items()}
        end_s = self._now()
        latency_s = end_s - begin_s
        counters.add_latency(latency_s)
        stamps = self._stamps(run, offload, begin_s, started_s, end_s) if self._stamped else None
        labels = rows.label.tolist()
        if self.hook is not None and run.samples:
            labels = self.hook.learn(run.samples, rows.exit.tolist(), labels, rows.confidence.tolist(), latency_s)
        answers = []
        for index in range(count):
            tier, reason, exit_index = rows.tier[index], rows.degraded[index], int(rows.exit[index])
            if tier == self._name:
                counters.exit_rows[exit_index] += 1
            answer = Answer(
                labels[index],
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
            if reason:
                counters.add_degraded(reason)
                if self.spooler is not None:
                    self.spooler.keep(tuple(array[index : index + 1] for array in inputs), answer, plan_id)
            if self.audit is not None:
                heard = self._hearing(run.samples[index : index + 1], exit_index)
                self.audit(tuple(array[index : index + 1] for array in inputs), answer, plan_id, heard)
            answers.append(answer)
        return answers

    def _hearing(self, samples: range, exit_index: int) -> Heard | None:
        """Who is told when a sample that left at an exit was audited."""
        if self.hook is None or not samples:
            return None
        return partial(self.hook.audited, samples[0], exit_index)

    def _sent_bytes(self, run: TierRun, offload: Offload | None) -> list[int]:
        """Of every row; what went over the link is counted and observed."""
        sent = [0] * len(run.rows)
        if offload is None:
            return sent
        if offload.sent_bytes:
            for index in run.survivors.tolist():
                sent[index] = offload.sent_bytes // len(run.survivors)
            self._counters.bytes_out += offload.sent_bytes
            self._counters.bytes_in += offload.reply.ByteSize() if offload.reply is not None else 0
        if offload.heard_s:
            self._counters.stages["beyond"].add(offload.heard_s - offload.sent_s)
        if self.observe is not None:
            self.observe(run, offload)
        return sent

    def left_first(
        self,
        first: FirstExit,
        row: Array,
        values: list[Array],
        confidence: float,
        ran_s: float,
        begin_s: float,
        end_s: float,
    ) -> Answer:
        """The answer of a sample that left at the first exit."""
        counters = self._counters
        counters.requests += 1
        counters.rows += 1
        for index in range(first.cut):
            counters.rows_executed[index] += 1
        counters.exit_rows[0] += 1
        latency_s = end_s - begin_s
        counters.add_latency(latency_s)
        name = self._name
        answer = Answer(values[0].item(), values[1][0], confidence, 0, name, latency_s, None, {name: end_s - ran_s}, 0)
        samples = range(0)
        if self.hook is not None:
            samples = self.hook.taken()
            (label,) = self.hook.learn(samples, (0,), (answer.label,), (confidence,), latency_s)
            answer = answer._replace(label=label)
        if self.audit is not None:
            self.audit((row,), answer, first.route.plan_id, self._hearing(samples, 0))
        return answer

    def _stamps(
        self, run: TierRun, offload: Offload | None, begin_s: float, started_s: float, left_s: float
    ) -> dict[str, Stamps]:
        """When every tier did what; reading the sample counts as the device's part."""
        times_s = (left_s, left_s, left_s) if offload is None else (offload.begun_s, offload.sent_s, offload.heard_s)
        mine = Stamps(*accumulate((begin_s, started_s, started_s, *times_s, left_s), max))
        return {self._name: mine, **run.rows.stamps}
