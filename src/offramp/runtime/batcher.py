"""Computing for many at a time: who comes while the tier is busy is computed together."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from offramp.errors import Overloaded
from offramp.runtime.batch import Outcome, compute
from offramp.runtime.limits import Limits
from offramp.runtime.tier import Tier, TierRun
from offramp.runtime.work import Part, Work
from offramp.runtime.work_queue import WorkQueue

__all__ = ["Batcher"]

#: from this share of a full queue on, rows that have an answer leave with it
CROWDED_SHARE = 0.5

_log = logging.getLogger(__name__)


class Batcher:
    """A queue of requests, and one thread that computes them in batches.

    A batch is what waits at the same segment under the same plan when the thread is free: the most urgent
    request and whoever fits beside it. After an exit the survivors of all of them are regrouped, with those that
    came to that segment another way. Rows and answers stay with their request whatever they travel with.

    Parameters
    ----------
    tier : computes and decides
    limits : sizes of a batch and of the queue

    Attributes
    ----------
    largest_batch_rows : the most rows there were in one batch
    refused : requests for which there was no room
    """

    def __init__(self, tier: Tier, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self.largest_batch_rows = self.refused = 0
        self._tier = tier
        self._queue = WorkQueue()
        self._changed = threading.Condition()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="compute")
        self._busy = self._closed = False

    @property
    def busy(self) -> bool:
        """Whether the thread computes or somebody waits for it; while not, the tier may be used by the caller."""
        return self._busy

    @property
    def waiting_rows(self) -> int:
        """Rows that wait for their turn."""
        return self._queue.rows

    def submit(self, work: Work) -> None:
        """Take a request in; its ``future`` gets what it comes to. Belongs to the event loop.

        Raises
        ------
        Overloaded : there is no room
        """
        rows, limits = len(work.answers), self.limits
        with self._changed:
            if self._queue and self._queue.rows + rows > limits.max_queue_rows:
                self.refused += 1
                raise Overloaded(
                    f"tier {self._tier.name!r} is overloaded: {self._queue.rows} rows wait, "
                    f"at most {limits.max_queue_rows} may; try again later or ask another server"
                )
            loop = asyncio.get_running_loop()
            work.future = loop.create_future()
            self._queue.put(work.whole())
            if self._busy:
                self._changed.notify()
                return
            self._busy = True
        self._thread.submit(self._work, loop)

    async def run(self, work: Work) -> TierRun:
        """Wait for what was submitted.

        Raises
        ------
        Exception : what computing it raised
        """
        assert work.future is not None
        return await work.future

    def close(self) -> None:
        """Let the thread end; what is queued is dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _work(self, loop: asyncio.AbstractEventLoop) -> None:
        """The thread: one batch after the other while anybody waits."""
        try:
            while self._one_batch(loop):
                pass
        except Exception as error:  # a defect: nobody must be left waiting, and the next request starts anew
            _log.exception("the queue failed")
            with self._changed:
                works = self._queue.clear()
                self._busy = False
            for work in works:
                work.error = work.error or error
            _call(loop, works)

    def _one_batch(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Compute what is next; whether there was anything."""
        with self._changed:
            parts = self._next()
            if not parts:
                self._busy = False
                return False
            alone = not self._queue
            most = CROWDED_SHARE * self.limits.max_queue_rows
            # a large request is no crowd by itself
            crowded = self._queue.rows > most and self._queue.rows_of_others(parts) > most
        outcome = self._compute(parts, alone, crowded)
        with self._changed:
            for part in outcome.going_on:
                self._queue.put(part)
        _call(loop, outcome.done)
        return True

    def _next(self) -> Sequence[Part]:
        """The next batch, waited for as long as the limits allow; with the lock held."""
        queue, limits = self._queue, self.limits
        while queue and not self._closed and limits.max_wait_s:
            head = queue.head()
            left_s = self._wait_until_s(head) - self._tier.clock.now()
            if head.work.started or queue.rows_with(head) >= limits.max_batch_rows or left_s <= 0:
                break
            self._changed.wait(left_s)
        return () if self._closed else queue.take(limits.max_batch_rows)

    def _wait_until_s(self, part: Part) -> float:
        """Until when a part may wait for company: never so long that it would be late."""
        work, route = part.work, part.work.route
        needed_s = self._tier.expected_s(route, part.stage.cut, route.stop, len(part))
        return min(
            work.begin_s + self.limits.max_wait_s,
            (math.inf if work.deadline_s is None else work.deadline_s) - 2 * needed_s,
        )

    def _compute(self, parts: Sequence[Part], alone: bool, crowded: bool) -> Outcome:
        rows = sum(map(len, parts))
        self._tier.counters.batches += 1
        self._tier.counters.batch_rows += rows
        self.largest_batch_rows = max(self.largest_batch_rows, rows)
        try:
            return compute(self._tier, parts, alone=alone, crowded=crowded)
        except Exception as error:  # a defect: those in the batch must hear of it, and the others go on
            _log.exception("a batch failed")
            works = {part.work.sequence: part.work for part in parts}.values()
            for work in works:
                work.error = work.error or error
            return Outcome(done=list(works))


def _call(loop: asyncio.AbstractEventLoop, works: Sequence[Work]) -> None:
    """Have the loop hand results out."""
    if works:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_deliver, works)


def _deliver(works: Sequence[Work]) -> None:
    for work in works:
        assert work.future is not None
        if work.future.done():  # whoever waited has gone
            continue
        if work.error is not None:
            work.future.set_exception(work.error)
        else:
            assert work.run is not None
            work.future.set_result(work.run)
