"""A TCP relay that behaves like a link of chosen rate and delay."""

from __future__ import annotations

import asyncio
import selectors
import socket

from offramp.clock import Clock, SystemClock
from offramp.errors import AddressInUse
from offramp.links.address import Address
from offramp.links.trace import Trace, constant

__all__ = ["ShapingRelay", "precise_loop"]

#: a chunk is what the link carries in about a millisecond, within these bounds
_SMALLEST_CHUNK, _LARGEST_CHUNK, _CHUNK_S = 4096, 16384, 1e-3
#: how long before the link is free the next chunk is taken, so that a late wake-up costs no rate
_READ_AHEAD_S = 2e-3
#: chunks on their way in one direction of one connection; a receiver that does not read stops the sender
_IN_FLIGHT = 1024
#: a chunk's last moments are slept in small steps: it leaves on time, and no core is spun
_APPROACH_S, _STEP_S = 3e-4, 2e-5
_SOCKET_BUFFER = 128 * 1024
_CONNECT_TIMEOUT_S = 5.0
_LONGEST_SLEEP_S = 3600.0

Chunk = tuple[float, bytes]  # when it arrives, what; empty: the sender has closed


def precise_loop() -> asyncio.AbstractEventLoop:
    """An event loop whose timers are exact to about 0.1 ms; the usual one rounds up to milliseconds."""
    return asyncio.SelectorEventLoop(selectors.SelectSelector())


class ShapingRelay:
    """Passes TCP on at a given rate and delay, in both directions at once.

    Each direction is one link with its own rate, shared by all connections: every chunk is booked
    on the link after the one before, and delivered at the end of its booking plus the one-way delay,
    ``rtt_s / 2``. At most one chunk of each connection waits for the link; the rest stays with the
    sender. It gives rate, delay and outages, but neither loss nor slow start nor handshake time.
    Use it in `precise_loop`, in a process of its own.

    Parameters
    ----------
    target : ``HOST:PORT`` that everything goes to
    rate : bits per second, or a trace whose time 0 is `start`
    rtt_s : delay there and back
    listen : ``HOST:PORT`` to listen on; port 0 takes a free one
    clock : what time it is
    """

    def __init__(
        self,
        target: str,
        rate: float | Trace,
        rtt_s: float = 0.0,
        listen: str = "127.0.0.1:0",
        clock: Clock | None = None,
    ) -> None:
        self.target = Address.parse(target)
        self.listen = Address.parse(listen)
        self.trace = rate if isinstance(rate, Trace) else constant(rate)
        self.rtt_s = float(rtt_s)
        self._clock = clock or SystemClock()
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """The port it listens on; the one asked for until it has started."""
        if self._server is None or not self._server.sockets:
            return self.listen.port
        return int(self._server.sockets[0].getsockname()[1])

    async def start(self) -> int:
        """Listen; returns the port.

        Raises
        ------
        AddressInUse : it cannot listen there
        """
        begin_s = self._clock.now()
        self._up = _Direction(self.trace, self.rtt_s / 2, self._clock, begin_s)
        self._down = _Direction(self.trace, self.rtt_s / 2, self._clock, begin_s)
        try:
            self._server = await asyncio.start_server(
                self._accept, self.listen.host, self.listen.port, limit=_LARGEST_CHUNK
            )
        except OSError as error:
            raise AddressInUse(
                f"the relay cannot listen on {self.listen}: {error.strerror}; choose another port, or 0 for a free one"
            ) from error
        return self.port

    async def close(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                target = await asyncio.open_connection(*self.target, limit=_LARGEST_CHUNK)
            writers.append(target[1])
            await self._pump((reader, writer), target)
        except* OSError:
            pass  # the target cannot be reached, or one side broke: both ends see it closed
        finally:
            for open_writer in writers:
                open_writer.transport.abort()

    async def _pump(self, client: _Stream, target: _Stream) -> None:
        """Carry both ways until both sides have closed."""
        async with asyncio.TaskGroup() as group:
            for (reader, _), (_, writer), direction in ((client, target, self._up), (target, client, self._down)):
                _bound_buffer(writer)
                queue: asyncio.Queue[Chunk] = asyncio.Queue(_IN_FLIGHT)
                group.create_task(direction.take(reader, queue))
                group.create_task(direction.deliver(queue, writer))

    def __repr__(self) -> str:
        return (
            f"ShapingRelay({str(self.target)!r}, {self.trace.name!r}, rtt_s={self.rtt_s}, listen={str(self.listen)!r})"
        )


_Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


def _bound_buffer(writer: asyncio.StreamWriter) -> None:
    """Let the kernel keep little, so that waiting happens at the sender."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SOCKET_BUFFER)


class _Direction:
    """One way of the link: the clock that all its connections share."""

    def __init__(self, trace: Trace, delay_s: float, clock: Clock, begin_s: float) -> None:
        self._trace = trace
        self._delay_s = delay_s
        self._clock = clock
        self._begin_s = begin_s
        self._free_s = begin_s
        self._turn = asyncio.Lock()

    async def take(self, reader: asyncio.StreamReader, queue: asyncio.Queue[Chunk]) -> None:
        """Read from the sender no faster than the link carries."""
        while True:
            data = await reader.read(self._chunk_bytes())
            await queue.put((await self._book(len(data)), data))
            if not data:
                return

    async def deliver(self, queue: asyncio.Queue[Chunk], writer: asyncio.StreamWriter) -> None:
        """Write every chunk when it is due; pass the sender's close on in its turn."""
        while True:
            due_s, data = await queue.get()
            await self._wait_until(due_s, _APPROACH_S)
            if not data:
                writer.write_eof()
                return
            writer.write(data)
            await writer.drain()

    async def _book(self, size: int) -> float:
        """Wait for the link, put ``size`` bytes on it, and say when the last of them arrives."""
        async with self._turn:
            await self._wait_until(self._free_s - _READ_AHEAD_S)
            begin_s = max(self._clock.now(), self._free_s)
            self._free_s = self._begin_s + self._trace.finish_s(begin_s - self._begin_s, size)
            return self._free_s + self._delay_s

    def _chunk_bytes(self) -> int:
        carried = self._trace.at(self._clock.now() - self._begin_s) * _CHUNK_S / 8
        return int(min(max(carried, _SMALLEST_CHUNK), _LARGEST_CHUNK))

    async def _wait_until(self, due_s: float, approach_s: float = 0.0) -> None:
        while (left_s := due_s - self._clock.now()) > 0:
            step_s = left_s - approach_s if left_s > approach_s else min(left_s, _STEP_S)
            await self._clock.sleep_async(min(step_s, _LONGEST_SLEEP_S))
