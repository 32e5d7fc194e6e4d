"""Places for requests under way: never more than there are, none lost, first come first served."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import pytest

from offramp.errors import ConfigError
from offramp.runtime.slots import Slots


def test_threads_never_have_more_than_there_are() -> None:
    slots, lock, here, most = Slots(3), threading.Lock(), [0], [0]

    def work() -> None:
        for _ in range(50):
            slots.take()
            with lock:
                here[0] += 1
                most[0] = max(most[0], here[0])
            with lock:
                here[0] -= 1
            slots.give()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most[0] <= 3
    assert slots.free == 3


def test_coroutines_come_in_the_order_they_asked() -> None:
    async def main() -> list[int]:
        slots, order = Slots(1), []

        async def work(index: int) -> None:
            await slots.take_async()
            order.append(index)
            await asyncio.sleep(0)
            slots.give()

        await asyncio.gather(*(work(index) for index in range(20)))
        assert slots.free == 1
        return order

    assert asyncio.run(main()) == list(range(20))


def test_who_goes_away_takes_no_place_along() -> None:
    async def main() -> None:
        slots = Slots(1)
        await slots.take_async()
        waiting = [asyncio.create_task(slots.take_async()) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
        slots.give()  # to the second
        waiting[1].cancel()  # in the same moment
        with contextlib.suppress(asyncio.CancelledError):
            await waiting[1]
        await waiting[2]
        slots.give()
        assert slots.free == 1

    asyncio.run(main())


def test_one_place_is_the_least() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        Slots(0)
