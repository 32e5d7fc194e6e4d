"""A tier behind certificates and tokens, and a device that asks it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from offramp.cascade.store import Cascade
from offramp.links.address import Address
from offramp.links.network import Link, Network, Tier
from offramp.planning.plan import Plan
from offramp.runtime.access import Access
from offramp.runtime.answering import Answering
from offramp.runtime.channel import client_options, server_options
from offramp.runtime.counters import Counters
from offramp.runtime.loop import run_in_background
from offramp.runtime.server_security import ServerSecurity
from offramp.runtime.service import Service, handlers
from offramp.runtime.tier import Tier as RuntimeTier
from offramp.runtime.upstream import Upstream
from tests.runtime.test_service import request_for
from tests.support.tiny import tiny_rows

__all__ = ["SECRET", "asked", "call", "network_of", "serving"]

SECRET = "correct-horse-battery-staple"


def network_of(certs: Path, tls: str | None = "server", token: bool = False) -> Network:
    token_file = None
    if token:
        file = certs.parent / "token"
        file.write_text(SECRET + "\n")
        file.chmod(0o600)
        token_file = str(file)

    def tier(name: str, **more: Any) -> Tier:
        return Tier(
            name,
            ca=str(certs / "ca.pem"),
            certificate=str(certs / f"{name}.pem"),
            key=str(certs / f"{name}.key"),
            **more,
        )

    tiers = (tier("device"), tier("cloud", tls=tls, token_file=token_file))
    return Network(tiers, (Link("device", "cloud", 1e8),))


@contextlib.contextmanager
def serving(cascade: Cascade, plan: Plan, security: ServerSecurity) -> Iterator[str]:
    async def start() -> tuple[Any, int, Answering]:
        answering = Answering(RuntimeTier(cascade, "cloud", [plan]))
        server: Any = grpc.aio.server(interceptors=security.interceptors(), options=server_options())
        server.add_generic_rpc_handlers((handlers(Service(answering)),))
        port = security.listen(server, Address("127.0.0.1", 0))
        await server.start()
        return server, port, answering

    server, port, answering = run_in_background(start())
    try:
        yield f"127.0.0.1:{port}"
    finally:
        run_in_background(server.stop(None))
        answering.close()


def asked(address: str, access: Access, cascade: Cascade, plan: Plan, patience_s: float = 10.0) -> Any:
    """What the device's own client is answered."""

    async def ask() -> Any:
        upstream = Upstream(address, Counters("device", 3, 3), access=access)
        upstream.start()
        try:
            await upstream.wait_connected(patience_s)
            return await upstream.send(request_for(cascade, plan, tiny_rows(2)), 10.0)
        finally:
            await upstream.close()

    return run_in_background(ask())


def call(address: str, access: Access, method: str, request: Any, metadata: Any = None) -> Any:
    async def ask() -> Any:
        async with access.open_channel(address, client_options()) as channel:
            unary = channel.unary_unary(method, type(request).SerializeToString, None)
            return await unary(request, timeout=10, metadata=access.metadata if metadata is None else metadata)

    return run_in_background(ask())
