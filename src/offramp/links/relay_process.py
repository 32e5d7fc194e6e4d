"""Links of chosen speed as a process: several relays, until it is told to stop."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from offramp.errors import ConfigError, OfframpError
from offramp.links.network import Link
from offramp.links.relay import ShapingRelay, precise_loop
from offramp.links.trace import Trace, load_trace

__all__ = ["Route", "main", "parse_route", "serve_relays"]

_PARENT_CHECK_S = 0.5


@dataclass(frozen=True, slots=True)
class Route:
    """One relay: the link it imitates, where it listens (``HOST:PORT``, port 0: a free one), where it leads.

    ``trace`` replaces the link's bandwidth.
    """

    link: Link
    listen: str
    target: str
    trace: Trace | None = None

    def relay(self) -> ShapingRelay:
        """The relay of this route, not started."""
        return ShapingRelay(self.target, self.trace or self.link.bandwidth_bps, self.link.rtt_s, self.listen)


def serve_relays(routes: Sequence[Route], parent_pid: int | None = None) -> None:
    """Run a relay for every route until SIGTERM or SIGINT, or until the parent is gone.

    Writes one line of JSON, ``{"ready": true, "ports": [...]}``, to stdout when all are listening.

    Parameters
    ----------
    routes : one for each link
    parent_pid : stop when this process has ended

    Raises
    ------
    AddressInUse : a relay cannot listen; none is left running
    """
    with asyncio.Runner(loop_factory=precise_loop) as runner:
        runner.run(_serve([route.relay() for route in routes], parent_pid))


async def _serve(relays: list[ShapingRelay], parent_pid: int | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        for relay in relays:
            stack.push_async_callback(relay.close)
            await relay.start()
        sys.stdout.write(json.dumps({"ready": True, "ports": [relay.port for relay in relays]}) + "\n")
        sys.stdout.flush()
        child = parent_pid is not None and os.getppid() == parent_pid
        while not stop.is_set() and (parent_pid is None or _alive(parent_pid, child)):
            try:
                async with asyncio.timeout(_PARENT_CHECK_S if parent_pid is not None else None):
                    await stop.wait()
            except TimeoutError:
                continue


def _alive(pid: int, is_parent: bool) -> bool:
    if is_parent:
        return os.getppid() == pid
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def parse_route(text: str) -> Route:
    """Read ``LISTEN_HOST:PORT,TARGET_HOST:PORT,BANDWIDTH_BPS,RTT_S[,TRACE_FILE]``.

    Raises
    ------
    ConfigError : another form, or a value the link refuses

    Examples
    --------
    >>> parse_route("127.0.0.1:0,127.0.0.1:8001,5e6,0.02").link.bandwidth_bps
    5000000.0
    """
    parts = text.split(",", 4)
    if len(parts) < 4:
        raise ConfigError(f"a route is LISTEN,TARGET,BANDWIDTH_BPS,RTT_S[,TRACE_FILE], not {text!r}")
    try:
        bandwidth_bps, rtt_s = float(parts[2]), float(parts[3])
    except ValueError as error:
        raise ConfigError(f"route {text!r}: BANDWIDTH_BPS and RTT_S must be numbers ({error})") from error
    trace = load_trace(parts[4]) if len(parts) == 5 else None
    return Route(Link(parts[0], parts[1], bandwidth_bps, rtt_s), parts[0], parts[1], trace)


def main(arguments: Sequence[str] | None = None) -> int:
    """``python -m offramp.links.relay_process``; returns the exit code."""
    parser = argparse.ArgumentParser(prog="offramp.links.relay_process", description=__doc__)
    parser.add_argument(
        "--route", action="append", required=True, metavar="LISTEN,TARGET,BANDWIDTH_BPS,RTT_S[,TRACE]", help="repeat"
    )
    parser.add_argument("--parent-pid", type=int, help="stop when this process has ended")
    options = parser.parse_args(arguments)
    try:
        serve_relays([parse_route(text) for text in options.route], options.parent_pid)
    except OfframpError as error:
        sys.stderr.write(f"error: {error}\n")
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
