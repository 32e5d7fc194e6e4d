"""The relay keeps rate, delay, order and content, and passes a close on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.errors import AddressInUse, ConfigError
from offramp.links.relay import ShapingRelay, precise_loop
from offramp.links.trace import Trace

T = TypeVar("T")
Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]
FAST_BPS = 1e9


def run(work: Coroutine[Any, Any, T]) -> T:
    async def bounded() -> T:
        async with asyncio.timeout(30):
            return await work

    with asyncio.Runner(loop_factory=precise_loop) as runner:
        return runner.run(bounded())


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def sink(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reads up to the end, then answers with the number of bytes."""
    size = 0
    while data := await reader.read(65536):
        size += len(data)
    writer.write(size.to_bytes(8, "little"))
    writer.close()


@asynccontextmanager
async def relayed(handler: Handler, rate: float | Trace, rtt_s: float = 0.0) -> AsyncIterator[ShapingRelay]:
    server = await asyncio.start_server(handler, "127.0.0.1", 0)
    relay = ShapingRelay(f"127.0.0.1:{server.sockets[0].getsockname()[1]}", rate, rtt_s)
    await relay.start()
    try:
        yield relay
    finally:
        await relay.close()
        server.close()
        await server.wait_closed()


@asynccontextmanager
async def connected(relay: ShapingRelay) -> AsyncIterator[Stream]:
    reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        await asyncio.sleep(0)


async def exchange(relay: ShapingRelay, payload: bytes) -> bytes:
    async with connected(relay) as (reader, writer):
        writer.write(payload)
        writer.write_eof()
        return await reader.read(-1)


async def upload_s(relay: ShapingRelay, size: int) -> float:
    begin_s = time.perf_counter()
    answer = await exchange(relay, bytes(size))
    assert int.from_bytes(answer, "little") == size
    return time.perf_counter() - begin_s


@settings(max_examples=25, deadline=None)
@given(payloads=st.lists(st.binary(min_size=1, max_size=50_000), min_size=1, max_size=3))
def test_content_and_order_are_kept_both_ways(payloads: list[bytes]) -> None:
    async def work() -> list[bytes]:
        async with relayed(echo, FAST_BPS) as relay:
            return await asyncio.gather(*(exchange(relay, payload) for payload in payloads))

    assert run(work()) == payloads


def test_rate_is_kept() -> None:
    async def work() -> float:
        async with relayed(sink, 8e6) as relay:
            return await upload_s(relay, 400_000)

    assert 0.4 <= run(work()) < 4.0


def test_connections_share_the_link() -> None:
    async def work() -> float:
        async with relayed(sink, 8e6) as relay:
            begin_s = time.perf_counter()
            await asyncio.gather(*(upload_s(relay, 100_000) for _ in range(4)))
            return time.perf_counter() - begin_s

    assert 0.4 <= run(work()) < 4.0


def test_the_two_directions_do_not_share() -> None:
    async def work() -> float:
        async with relayed(echo, 8e6) as relay:
            begin_s = time.perf_counter()
            assert len(await exchange(relay, bytes(400_000))) == 400_000
            return time.perf_counter() - begin_s

    times = [run(work())]
    while min(times) >= 0.75 and len(times) < 5:  # a busy machine may need a second try
        times.append(run(work()))
    assert 0.4 <= min(times) < 0.75


def test_delay_is_at_least_what_was_asked() -> None:
    async def work() -> list[float]:
        times = []
        async with relayed(echo, FAST_BPS, rtt_s=0.05) as relay, connected(relay) as (reader, writer):
            for _ in range(4):
                begin_s = time.perf_counter()
                writer.write(b"ping")
                await reader.readexactly(4)
                times.append(time.perf_counter() - begin_s)
        return times

    times = run(work())
    assert min(times) >= 0.05
    assert min(times) < 0.5


def test_an_outage_stalls_and_ends() -> None:
    async def work() -> float:
        async with relayed(sink, Trace((0.0, 0.05, 0.45), (8e6, 0.0, 8e6))) as relay:
            return await upload_s(relay, 100_000)

    assert run(work()) >= 0.45


def test_a_link_that_stays_down_passes_nothing_and_still_closes() -> None:
    async def work() -> None:
        async with relayed(echo, Trace((0.0,), (0.0,))) as relay, connected(relay) as (reader, writer):
            writer.write(b"ping")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await reader.read(1)

    run(work())


def test_a_sender_waits_for_the_link() -> None:
    """What the link has not carried stays with the sender: it does not pile up in the relay."""

    async def work() -> int:
        async with relayed(sink, 8e4) as relay, connected(relay) as (_, writer):
            writer.transport.set_write_buffer_limits(high=1)
            written = 0
            with suppress(TimeoutError):
                async with asyncio.timeout(0.3):
                    while written < 50_000_000:
                        writer.write(bytes(65536))
                        await writer.drain()
                        written += 65536
            return written

    assert run(work()) < 10_000_000


def test_a_dead_target_closes_the_connection() -> None:
    async def work() -> bytes:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        relay = ShapingRelay(f"127.0.0.1:{port}", FAST_BPS, rtt_s=10.0)
        await relay.start()
        try:
            async with connected(relay) as (reader, _):
                return await reader.read(1)
        except ConnectionResetError:
            return b""
        finally:
            await relay.close()

    assert run(work()) == b""


def test_a_target_that_hangs_up_is_noticed() -> None:
    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.transport.abort()

    async def work() -> bytes:
        async with relayed(hang_up, FAST_BPS) as relay, connected(relay) as (reader, writer):
            writer.write(b"hello, and more than is read")
            try:
                return await reader.read(-1)
            except ConnectionResetError:
                return b""

    assert run(work()) == b""


def test_a_client_that_hangs_up_is_noticed() -> None:
    async def work() -> None:
        noticed = asyncio.Event()

        async def watch(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                while await reader.read(100):
                    pass
            except ConnectionResetError:
                pass  # hanging up may show as a reset or as the end of the stream
            noticed.set()
            writer.close()

        async with relayed(watch, FAST_BPS) as relay:
            async with connected(relay) as (_, writer):
                writer.write(b"bye")
            assert await asyncio.wait_for(noticed.wait(), 10)

    run(work())


def test_closing_the_relay_cuts_connections() -> None:
    async def work() -> bytes:
        async with relayed(echo, FAST_BPS) as relay, connected(relay) as (reader, writer):
            writer.write(b"ping")
            await reader.readexactly(4)
            await relay.close()
            try:
                return await reader.read(1)
            except ConnectionResetError:
                return b""

    assert run(work()) == b""


def test_a_taken_port() -> None:
    async def work() -> None:
        async with relayed(echo, FAST_BPS) as first:
            second = ShapingRelay(str(first.target), FAST_BPS, listen=f"127.0.0.1:{first.port}")
            with pytest.raises(AddressInUse, match=f"cannot listen on 127.0.0.1:{first.port}"):
                await second.start()
            await second.close()

    run(work())


@pytest.mark.parametrize("address", ["nowhere", "host:", ":80", "host:99999", "host:-1"])
def test_bad_addresses(address: str) -> None:
    with pytest.raises(ConfigError, match="an address must be HOST:PORT"):
        ShapingRelay(address, 1.0)


def test_bad_rates() -> None:
    with pytest.raises(ConfigError, match="zero or more"):
        ShapingRelay("127.0.0.1:1", -1.0)


def test_repr() -> None:
    assert repr(ShapingRelay("a:1", 8.0)) == "ShapingRelay('a:1', 'constant', rtt_s=0.0, listen='127.0.0.1:0')"
