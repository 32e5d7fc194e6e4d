"""Several samples under way: the device computes one while answers to others are awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from functools import partial
from typing import Any

from numpy.typing import NDArray

from offramp.runtime.accounts import Accounts
from offramp.runtime.answer import Answer
from offramp.runtime.asking import Asking
from offramp.runtime.following import Following
from offramp.runtime.loop import background_loop
from offramp.runtime.modes import Mode
from offramp.runtime.offload import Offload
from offramp.runtime.slots import Slots
from offramp.runtime.tier import TierRun

__all__ = ["Pipeline"]

Array = NDArray[Any]


class Pipeline:
    """Accepts samples while there are slots, and computes them in one thread, first come first served.

    A sample's time counts from when it is accepted. So who asks for more than the device can do waits to be
    accepted, and what is accepted is answered in time.

    Parameters
    ----------
    asking, accounts : the device's
    one_row : reads and checks a sample
    max_in_flight : samples under way at a time

    Raises
    ------
    ConfigError : ``max_in_flight`` is less than 1
    """

    def __init__(
        self, asking: Asking, accounts: Accounts, one_row: Callable[[Any], tuple[Array, ...]], max_in_flight: int
    ) -> None:
        self.slots = Slots(max_in_flight)
        self._asking = asking
        self._accounts = accounts
        self._one_row = one_row
        self._worker: ThreadPoolExecutor | None = None
        self._submitted: set[Future[Answer]] = set()

    def submit(self, following: Following, sample: Any, mode: Mode, budget_s: float) -> Future[Answer]:
        """Ask for one sample; blocks until it is accepted."""
        self.slots.take()
        answer = self._answer(following, sample, mode, budget_s)
        future = asyncio.run_coroutine_threadsafe(answer, background_loop())
        self._submitted.add(future)
        future.add_done_callback(self._done)
        return future

    def _done(self, future: Future[Answer]) -> None:
        self._submitted.discard(future)
        self.slots.give()

    async def infer(self, following: Following, sample: Any, mode: Mode, budget_s: float) -> Answer:
        """Ask for one sample in any event loop."""
        await self.slots.take_async()
        try:
            return await self._answer(following, sample, mode, budget_s)
        finally:
            self.slots.give()

    async def _answer(self, following: Following, sample: Any, mode: Mode, budget_s: float) -> Answer:
        begin_s = self._asking.now()
        if self._worker is None:
            self._worker = ThreadPoolExecutor(1, thread_name_prefix="device")
        begin = partial(self._begin, following, sample, mode, begin_s + budget_s)
        inputs, run, offload, started_s = await asyncio.get_running_loop().run_in_executor(self._worker, begin)
        if offload is not None:
            await offload.wait_async()
            if offload.must_compute:
                await asyncio.to_thread(offload.finish)
            else:
                offload.finish()
        return self._accounts.answers(run, offload, begin_s, inputs, following.route.plan_id, started_s)[0]

    def _begin(
        self, following: Following, sample: Any, mode: Mode, deadline_s: float
    ) -> tuple[tuple[Array, ...], TierRun, Offload | None, float]:
        """The device's part of one sample, what goes on sent; and when its turn came."""
        started_s = self._asking.now()
        inputs = self._one_row(sample)
        return inputs, *self._asking.ask(following, inputs, mode, deadline_s), started_s

    def close(self) -> None:
        """Wait until what was submitted is answered, then let the thread end; may be called twice."""
        wait(list(self._submitted))
        worker, self._worker = self._worker, None
        if worker is not None:
            worker.shutdown(wait=False)
