"""The process of one tier: start, say so, serve, drain, end."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc.aio

from offramp.cascade.store import open_cascade
from offramp.errors import ConfigError, OfframpError
from offramp.links.address import Address
from offramp.links.network import load_network
from offramp.planning.plan import Plan, load_plan
from offramp.runtime.access import Access
from offramp.runtime.answering import Answering
from offramp.runtime.channel import server_options
from offramp.runtime.engine import engine_named
from offramp.runtime.failover import Failover
from offramp.runtime.gauges import tier_gauges
from offramp.runtime.health import Health, health_handlers
from offramp.runtime.json_logs import log_as_json
from offramp.runtime.limits import Limits
from offramp.runtime.loop import new_loop
from offramp.runtime.metrics import start_metrics
from offramp.runtime.parent import parent_gone
from offramp.runtime.server_security import ServerSecurity
from offramp.runtime.service import Service, handlers
from offramp.runtime.tier import Tier
from offramp.runtime.upstreams import require_upstream, upstream_to

if TYPE_CHECKING:
    from offramp.runtime.rest import Rest

__all__ = ["main", "serve"]

_log = logging.getLogger(__name__)

#: seconds that connections get to close by themselves
STOP_S = 0.2
#: what can be limited, and of what kind it is
_LIMITS = {field.name: float if field.name.endswith("_s") else int for field in fields(Limits)}


def serve(
    cascade: Path,
    *,
    tier: str,
    plans: Sequence[Path],
    listen: str = "127.0.0.1:0",
    upstream: str | None = None,
    slow_down: float = 1.0,
    metrics_port: int | None = None,
    rest_port: int | None = None,
    network: Path | None = None,
    limits: Limits | None = None,
    parent_pid: int | None = None,
    engine: str = "local",
    replicas: str | None = None,
) -> None:
    """Serve a tier until SIGTERM or SIGINT.

    When it listens, one line of JSON goes to stdout: ``{"ready": true, "port": .., "metrics_port": ..,
    "rest_port": ..}``.

    Parameters
    ----------
    cascade : the folder ``NAME.cascade``
    tier : name of this tier in the plans
    plans : plan files; the first is the default
    listen : ``HOST:PORT``, port 0 takes a free one
    upstream : ``HOST:PORT`` of the next tier, or ``oip://HOST:PORT`` of a plain model server; several
        separated by commas, the preferred first
    slow_down : run that many times slower than this machine
    metrics_port : port of Prometheus metrics over HTTP (0: a free one), or ``None``
    rest_port : port of REST beside gRPC (0: a free one), or ``None``; needs the extra ``rest``
    network : network file that says how this tier and the next one are secured; without one they are not
    limits : how much it takes on
    parent_pid : end when this process is gone
    engine : where its segments run: ``local`` in this process, ``ray`` on Ray Serve
    replicas : of the engine, ``N`` or ``LEAST-MOST``

    Raises
    ------
    CascadeError : the cascade is missing or damaged
    ConfigError, RecordMismatch : a plan does not fit, a certificate or token cannot be used, or REST is asked for
        without its library
    AddressInUse : something else listens there
    """
    where = Address.parse(listen)
    _require_possible(upstream, slow_down, engine)
    opened = open_cascade(cascade)
    loaded = [load_plan(path) for path in plans]
    runs_on = engine_named(engine, opened, replicas)
    try:
        here = Tier(opened, tier, loaded, slow_down=slow_down, engine=runs_on)
        security, access = _secured(network, here)
        _warm(here, loaded)
        serving = _Serving(where, upstream, metrics_port, rest_port, limits or Limits(), security, access, parent_pid)
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(_serve(here, serving))
    finally:
        runs_on.close()


def _require_possible(upstream: str | None, slow_down: float, engine: str) -> None:
    for address in upstream.split(",") if upstream is not None else ():
        require_upstream(address)
    if slow_down < 1:
        raise ConfigError(f"slow_down must be at least 1, not {slow_down}")
    if slow_down > 1 and engine != "local":
        raise ConfigError(f"a machine slow_down times slower is imitated by the engine local only, not by {engine!r}")


@dataclass(frozen=True, slots=True)
class _Serving:
    """Where and how a tier serves, as `serve` was told."""

    where: Address
    upstream: str | None
    metrics_port: int | None
    rest_port: int | None
    limits: Limits
    security: ServerSecurity
    access: Access
    parent_pid: int | None


def _secured(network: Path | None, tier: Tier) -> tuple[ServerSecurity, Access]:
    """What the tier asks of its clients, and what it shows to the next one."""
    if network is None:
        return ServerSecurity(), Access()
    loaded, next_tier = load_network(network), tier.route().next_tier
    access = Access() if next_tier is None else Access.between(loaded, tier.name, next_tier)
    return ServerSecurity.of(loaded, tier.name), access


def _warm(tier: Tier, plans: Sequence[Plan]) -> None:
    for plan in plans:
        route = tier.route(plan.plan_id)
        tier.warm(route, route.start, route.stop)


async def _serve(tier: Tier, serving: _Serving) -> None:
    where, limits, security = serving.where, serving.limits, serving.security
    next_tier = None if serving.upstream is None else _next_tier(serving.upstream, tier, serving.access)
    answering = Answering(tier, next_tier, limits)
    options = server_options(limits.max_message_bytes, limits.max_streams, limits.max_connections)
    server: Any = grpc.aio.server(
        interceptors=security.interceptors(), options=options, maximum_concurrent_rpcs=limits.max_streams
    )
    service = Service(answering)
    health = Health(answering)
    server.add_generic_rpc_handlers((handlers(service), health_handlers(health)))
    port = security.listen(server, where)
    metrics_port, rest_port = serving.metrics_port, serving.rest_port
    exposed = None if metrics_port is None else _expose(answering, metrics_port, where.host)
    rest = None if rest_port is None else _rest(answering, security)
    exposed_rest = None if rest is None else await rest.start(Address(where.host, rest_port or 0), security.context())
    await server.start()
    if next_tier is not None:
        next_tier.start()
    told = _told_to_end(serving.parent_pid)
    ports = {"port": port, "metrics_port": exposed, "rest_port": exposed_rest}
    sys.stdout.write(json.dumps({"ready": True, **ports}) + "\n")
    sys.stdout.flush()
    _log.info("ready", extra={"fields": {"tier": tier.name, **ports, "plans": tier.plan_ids}})
    await told.wait()
    _log.info("draining", extra={"fields": {"tier": tier.name, "in_flight": answering.in_flight}})
    answering.draining = True  # new requests are refused
    health.end()
    await _drain(service, limits.max_drain_s)
    await service.end_streams()
    if rest is not None:
        await rest.close()
    await server.stop(STOP_S)
    if next_tier is not None:
        await next_tier.close()
    answering.close()
    _log.info("ended", extra={"fields": {"tier": tier.name}})


def _next_tier(addresses: str, tier: Tier, access: Access) -> Failover:
    """The servers of the next tier, in order of preference."""
    upstreams = [upstream_to(address, tier, access=access) for address in addresses.split(",")]
    return Failover(upstreams, tier.clock.now)


def _expose(answering: Answering, port: int, host: str) -> int:
    return start_metrics(
        answering.tier.counters,
        port,
        host,
        gauges=lambda: tier_gauges(answering),
        healthy=lambda: not answering.draining,
    )


def _rest(answering: Answering, security: ServerSecurity) -> Rest:
    """REST of the tier, its library imported only now."""
    try:
        from offramp.runtime.rest import Rest
    except ImportError as error:
        raise ConfigError("REST needs aiohttp; install offramp[rest], or leave --rest-port out") from error
    return Rest(answering, max_body_bytes=answering.limits.max_message_bytes, authorise=security.authorise)


def _told_to_end(parent_pid: int | None) -> asyncio.Event:
    """Set on SIGTERM, on SIGINT, or when the parent is gone."""
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    if parent_pid is not None:
        watch = loop.create_task(parent_gone(parent_pid))
        watch.add_done_callback(lambda _: told.set())
    return told


async def _drain(service: Service, seconds: float) -> None:
    """Give requests under way a moment."""
    until_s = asyncio.get_running_loop().time() + seconds
    while service.busy and asyncio.get_running_loop().time() < until_s:
        await asyncio.sleep(0.01)


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m offramp.runtime.server``: the same as ``offramp serve``, without the command line's imports."""
    parser = argparse.ArgumentParser(prog="offramp.runtime.server", description=main.__doc__)
    parser.add_argument("--cascade", type=Path, required=True)
    parser.add_argument("--tier", required=True)
    parser.add_argument("--plan", type=Path, action="append", required=True)
    parser.add_argument("--listen", default="127.0.0.1:0")
    parser.add_argument("--upstream")
    parser.add_argument("--slow-down", type=float, default=1.0)
    parser.add_argument("--metrics-port", type=int)
    parser.add_argument("--rest-port", type=int)
    parser.add_argument("--network", type=Path)
    parser.add_argument("--engine", default="local")
    parser.add_argument("--replicas")
    for name, kind in _LIMITS.items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, default=getattr(Limits(), name))
    parser.add_argument("--log-json", action="store_true")
    parser.add_argument("--parent-pid", type=int)
    options = parser.parse_args(arguments)
    if options.log_json:
        log_as_json()
    else:
        logging.basicConfig(level=logging.WARNING)
    try:
        serve(
            options.cascade,
            tier=options.tier,
            plans=options.plan,
            listen=options.listen,
            upstream=options.upstream,
            slow_down=options.slow_down,
            metrics_port=options.metrics_port,
            rest_port=options.rest_port,
            network=options.network,
            limits=Limits(**{name: getattr(options, name) for name in _LIMITS}),
            parent_pid=options.parent_pid,
            engine=options.engine,
            replicas=options.replicas,
        )
    except OfframpError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
