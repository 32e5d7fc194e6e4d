"""gRPC's health service, asked plainly and by gRPC's own client-side health checks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

from offramp.runtime.answering import Answering
from offramp.runtime.health import CHECK, WATCH, Health, health_handlers
from offramp.runtime.loop import run_in_background
from offramp.runtime.server_security import ServerSecurity
from offramp.runtime.tier import Tier
from offramp.runtime.tokens import Token
from tests.runtime.support import plan_of
from tests.support.tiny import make_tiny_cascade

SERVING, NOT_SERVING, SERVICE_UNKNOWN = b"\x08\x01", b"\x08\x02", b"\x08\x03"

End = Callable[[], None]


@pytest.fixture(params=["open", "with a token"])
def served(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, End]]:
    """Its address, and what makes it drain."""
    security = ServerSecurity() if request.param == "open" else ServerSecurity(token=Token(["correct-horse-battery"]))
    cascade = make_tiny_cascade(tmp_path, segments=3)
    answering = Answering(Tier(cascade, "cloud", [plan_of(cascade, ("cloud",) * 3, (0.5, 0.5))]))

    async def start() -> tuple[Any, int, Health]:
        health = Health(answering)
        server: Any = grpc.aio.server(interceptors=security.interceptors())
        server.add_generic_rpc_handlers((health_handlers(health),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port, health

    async def drain() -> None:
        answering.draining = True
        health.end()

    server, port, health = run_in_background(start())
    try:
        yield f"127.0.0.1:{port}", lambda: run_in_background(drain())
    finally:
        run_in_background(drain())
        run_in_background(server.stop(None))
        answering.close()


def asked(service: str) -> bytes:
    return b"" if not service else b"\x0a" + bytes([len(service)]) + service.encode()


@pytest.mark.parametrize("service", ["", "tiny", "inference.GRPCInferenceService"])
def test_check_tells_the_state(served: tuple[str, End], service: str) -> None:
    address, drain = served
    with grpc.insecure_channel(address) as channel:
        check = channel.unary_unary(CHECK, None, None)
        assert check(asked(service), timeout=10) == SERVING
        drain()
        assert check(asked(service), timeout=10) == NOT_SERVING


@pytest.mark.parametrize("data", [asked("other"), b"\xff"])
def test_check_of_another_service_is_an_error(served: tuple[str, End], data: bytes) -> None:
    with grpc.insecure_channel(served[0]) as channel:
        with pytest.raises(grpc.RpcError) as caught:
            channel.unary_unary(CHECK, None, None)(data, timeout=10)
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND


@pytest.mark.parametrize(
    ("service", "states"), [("", [SERVING, NOT_SERVING]), ("tiny", [SERVING, NOT_SERVING]), ("x", [SERVICE_UNKNOWN])]
)
def test_watch_tells_every_change(served: tuple[str, End], service: str, states: list[bytes]) -> None:
    address, drain = served
    with grpc.insecure_channel(address) as channel:
        watch: Any = channel.unary_stream(WATCH, None, None)(asked(service), timeout=10)
        found = [next(watch)]
        drain()
        assert [*found, *watch] == states


def test_a_client_that_balances_follows_it(served: tuple[str, End]) -> None:
    address, drain = served
    config = {"healthCheckConfig": {"serviceName": "tiny"}, "loadBalancingConfig": [{"round_robin": {}}]}
    options = [("grpc.service_config", json.dumps(config)), ("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(f"ipv4:{address}", options=options) as channel:
        grpc.channel_ready_future(channel).result(timeout=10)
        drain()
        check = channel.unary_unary(CHECK, None, None)
        code = None
        for _ in range(1000):  # the change is told, it need not be there with the next call
            try:
                check(b"", timeout=10)
            except grpc.RpcError as error:
                code = error.code()
                break
        assert code is grpc.StatusCode.UNAVAILABLE
