"""Metrics and health over HTTP, for machines that look after tiers."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterable
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

from offramp.errors import AddressInUse

__all__ = ["Healthy", "serve_metrics"]

#: whether requests are taken
Healthy = Callable[[], bool]
#: seconds a client gets to say what it wants
TIMEOUT_S = 10.0


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True


class _Server6(_Server):
    address_family = socket.AF_INET6


class _Handler(WSGIRequestHandler):
    timeout = TIMEOUT_S

    def log_message(self, format: str, *args: Any) -> None:
        """A scrape is no event."""


def serve_metrics(
    metrics: WSGIApplication, tier: str, port: int, host: str = "127.0.0.1", healthy: Healthy | None = None
) -> int:
    """Serve ``/metrics`` and ``/healthz`` from a daemon thread, and nothing else.

    Parameters
    ----------
    metrics : answers ``/metrics``
    tier : its name
    port : 0 takes a free one
    healthy : default always

    Returns
    -------
    int : the port

    Raises
    ------
    AddressInUse : something else listens there
    """

    def answer(environment: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environment.get("PATH_INFO", "/")
        if path in ("/", "/metrics"):
            return metrics(environment, start)
        if path == "/healthz":
            well = healthy is None or healthy()
            body = {"status": "ok" if well else "shutting down", "tier": tier}
            return _say(start, "200 OK" if well else "503 Service Unavailable", body)
        return _say(start, "404 Not Found", {"error": "no such path; there are /metrics and /healthz"})

    kind = _Server6 if ":" in host else _Server
    try:
        server = make_server(host, port, answer, server_class=kind, handler_class=_Handler)
    except OSError as error:
        raise AddressInUse(
            f"cannot expose metrics on {host}:{port} ({error.strerror}); "
            "choose another --metrics-port, or 0 for a free one"
        ) from error
    threading.Thread(target=server.serve_forever, name="metrics", daemon=True).start()
    return int(server.server_port)


def _say(start: StartResponse, status: str, body: dict[str, str]) -> list[bytes]:
    start(status, [("Content-Type", "application/json")])
    return [json.dumps(body).encode() + b"\n"]
