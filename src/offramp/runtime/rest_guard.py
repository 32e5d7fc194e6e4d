"""A bound on the connections of an HTTP server, and on how long one may stay silent before its first request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable

__all__ = ["Guard"]


class Guard:
    """Makes the protocol of each new connection.

    A connection above ``most`` is answered with 503 and closed. One that has not brought a whole request
    ``silent_s`` seconds after it was opened is closed: a client that sends its headers byte by byte holds
    a place no longer than that.

    Parameters
    ----------
    make : makes the protocol that speaks HTTP
    most : connections at a time
    silent_s : seconds until the first request must be there
    """

    def __init__(self, make: Callable[[], asyncio.Protocol], most: int, silent_s: float) -> None:
        self._make = make
        self._most = most
        self._silent_s = silent_s
        #: the protocols of open connections, and whether a request came over each
        self._open: dict[asyncio.Protocol, bool] = {}

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self._open)

    def spoke(self, protocol: asyncio.BaseProtocol) -> None:
        """The connection has brought a request."""
        if protocol in self._open:
            self._open[protocol] = True

    def opened(self, protocol: asyncio.Protocol, transport: asyncio.BaseTransport) -> None:
        """A connection is open: look once whether it has spoken."""
        self._open[protocol] = False
        asyncio.get_running_loop().call_later(self._silent_s, self._look, protocol, transport)

    def closed(self, protocol: asyncio.Protocol) -> None:
        """A connection is gone."""
        self._open.pop(protocol, None)

    def __call__(self) -> asyncio.Protocol:
        return _Full(self._most) if len(self._open) >= self._most else _Watched(self._make(), self)

    def _look(self, protocol: asyncio.Protocol, transport: asyncio.BaseTransport) -> None:
        if self._open.get(protocol) is False:
            transport.close()


class _Watched(asyncio.Protocol):
    """Passes everything on, and tells the guard when the connection opens and closes."""

    def __init__(self, inner: asyncio.Protocol, guard: Guard) -> None:
        self._inner = inner
        self._guard = guard
        self.data_received = inner.data_received  # type: ignore[method-assign]
        self.eof_received = inner.eof_received  # type: ignore[method-assign]
        self.pause_writing = inner.pause_writing  # type: ignore[method-assign]
        self.resume_writing = inner.resume_writing  # type: ignore[method-assign]

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._guard.opened(self._inner, transport)
        self._inner.connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        self._guard.closed(self._inner)
        self._inner.connection_lost(error)


class _Full(asyncio.Protocol):
    """Says that there is no place, and closes."""

    def __init__(self, most: int) -> None:
        self._most = most

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        body = json.dumps({"error": f"{self._most} connections are open already; try again later"}).encode()
        head = (
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nRetry-After: 1\r\nConnection: close\r\n\r\n"
        )
        transport.write(head.encode() + body)
        transport.close()
