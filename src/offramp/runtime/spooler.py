"""Keeps undelivered samples out of the caller's way, and delivers them when the link is back."""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any

from numpy.typing import NDArray

from offramp.cascade.manifest import Manifest
from offramp.clock import Clock
from offramp.errors import LinkError, PayloadTooLarge, PeerRefused
from offramp.runtime.answer import Answer
from offramp.runtime.failover import Failover
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.responses import parse_response
from offramp.runtime.spool import Spool
from offramp.runtime.spooled import SpooledSample

__all__ = ["LateAnswer", "Spooler"]

_log = logging.getLogger(__name__)

Array = NDArray[Any]
#: told of each sample delivered late, and of its answer
LateAnswer = Callable[[SpooledSample, Answer], None]

#: samples that wait for the disk; beyond that they are lost
QUEUE = 256
#: seconds a late sample may take, and pauses: between looks at a busy or broken link, and after a refusal
TIMEOUT_S, LOOK_S, LONGEST_S, REFUSED_S = 10.0, 0.1, 5.0, 60.0


class Spooler:
    """Writes in a thread of its own, so that no answer waits for the disk; delivers one sample at a time.

    A sample is delivered when a tier beyond has answered it and was not degraded itself. Delivery waits while
    requests of the day are under way. A refused sample stays, and is tried again a minute later.

    Parameters
    ----------
    spool : open; `close` closes it
    manifest : of the cascade
    clock : for pauses and latencies
    wall : seconds since 1970
    on_late_answer : called in a thread for every sample delivered
    """

    def __init__(
        self,
        spool: Spool,
        manifest: Manifest,
        clock: Clock,
        wall: Callable[[], float],
        on_late_answer: LateAnswer | None = None,
    ) -> None:
        self.spool = spool
        self._manifest = manifest
        self._clock = clock
        self._wall = wall
        self._on_late_answer = on_late_answer
        self._queue: queue.Queue[SpooledSample | None] = queue.Queue(QUEUE)
        self._thread = threading.Thread(target=self._store, name="spool", daemon=True)
        self._thread.start()
        self._drain: asyncio.Task[None] | None = None
        self._closed = False

    def keep(self, inputs: tuple[Array, ...], answer: Answer, plan_id: str) -> None:
        """Keep a sample that was answered degraded; a refused one would be refused again, and is not kept."""
        if answer.degraded is None or answer.degraded == "refused":
            return
        copies = tuple(array.copy() for array in inputs)
        sample = SpooledSample(
            copies, answer.degraded, answer.label, answer.confidence, answer.exit, plan_id, self._wall()
        )
        try:
            if self._closed:
                raise queue.Full
            self._queue.put_nowait(sample)
        except queue.Full:
            self.spool.lost += 1

    def _store(self) -> None:
        while (sample := self._queue.get()) is not None:
            try:
                self.spool.append(sample.to_message(self._manifest).SerializeToString())
            except Exception:
                self.spool.lost += 1
                _log.exception("a sample could not be spooled")
            finally:
                self._queue.task_done()

    def flush(self) -> None:
        """Wait until everything kept so far is on disk, or lost."""
        self._queue.join()

    async def wait_empty(self, timeout_s: float) -> bool:
        """Wait until all is delivered; False when it is not in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while self._queue.unfinished_tasks or len(self.spool):
                    await self._clock.sleep_async(LOOK_S)
        except TimeoutError:
            return False
        return True

    def start(self, upstream: Failover) -> None:
        """Deliver from now on; called in the event loop."""
        self._drain = asyncio.get_running_loop().create_task(self._deliver_all(upstream))

    async def stop(self) -> None:
        """Deliver no more; called in the event loop."""
        if self._drain is not None:
            self._drain.cancel()
            await asyncio.wait([self._drain])

    def close(self) -> None:
        """Write what waits, and close the spool; may be called twice."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._thread.join()
        self.spool.close()

    async def _deliver_all(self, upstream: Failover) -> None:
        pause_s = LOOK_S
        while True:
            await self._clock.sleep_async(pause_s)
            if not len(self.spool) or not upstream.connected or upstream.in_flight:
                pause_s = LOOK_S
                continue
            try:
                pause_s = 0.0 if await self._deliver(upstream) else min(max(2 * pause_s, LOOK_S), LONGEST_S)
            except (PeerRefused, PayloadTooLarge) as error:
                if upstream.first_time(error):
                    _log.warning("spooled samples are refused and stay where they are: %s", error)
                pause_s = REFUSED_S
            except LinkError:
                pause_s = min(max(2 * pause_s, LOOK_S), LONGEST_S)
            except Exception:
                _log.exception("a spooled sample could not be delivered")
                pause_s = REFUSED_S

    async def _deliver(self, upstream: Failover) -> bool:
        """Deliver the oldest sample; whether it was answered as it should be."""
        head = await asyncio.to_thread(self.spool.head)
        if head is None:
            return True
        entry, payload = head
        message = pb.ModelInferRequest.FromString(payload)
        message.parameters["deadline_ms"].double_param = TIMEOUT_S * 1e3
        begin_s = self._clock.now()
        reply = await upstream.send(message, TIMEOUT_S)
        rows = parse_response(reply, 1, self._manifest, "")
        if rows.degraded[0]:
            return False
        if self._on_late_answer is not None:
            answer = Answer(
                int(rows.label[0]),
                rows.probabilities[0],
                float(rows.confidence[0]),
                int(rows.exit[0]),
                rows.tier[0],
                self._clock.now() - begin_s,
                compute_s=rows.compute_s,
                sent_bytes=len(payload),
            )
            await asyncio.to_thread(self._tell, message, answer)
        await asyncio.to_thread(self.spool.remove, entry)
        return True

    def _tell(self, message: pb.ModelInferRequest, answer: Answer) -> None:
        assert self._on_late_answer is not None
        try:
            self._on_late_answer(SpooledSample.from_message(message, self._manifest), answer)
        except Exception:
            _log.exception("on_late_answer failed; the sample counts as delivered")
