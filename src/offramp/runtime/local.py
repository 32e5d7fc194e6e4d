"""All tiers but the device, and the links between them, as processes on this machine."""

from __future__ import annotations

import socket
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from offramp.errors import AddressInUse, ConfigError, OfframpError
from offramp.links.network import Network
from offramp.runtime.metrics import scrape
from offramp.runtime.process import ReadyProcess

__all__ = ["LocalCluster"]

HOST = "127.0.0.1"
#: a port chosen for a relay may be taken by someone else before it listens: then all starts again
ATTEMPTS = 3
#: seconds the tiers get to connect to each other
CONNECT_S = 5.0


class LocalCluster:
    """One server per tier beyond the first, each link through a relay that shapes it.

    Everything stops when the block is left, and also when this process dies.

    Parameters
    ----------
    cascade : the folder ``NAME.cascade``
    plans : plan files every server knows; the first is the default
    network : tiers (with their ``slow_down``) and links
    shaped : whether the links are shaped; otherwise the servers are reached directly

    Attributes
    ----------
    upstream_address : ``HOST:PORT`` for the device

    Raises
    ------
    OfframpError : a process did not start; its own sentence says why
    """

    def __init__(self, cascade: str | Path, plans: Sequence[Path], network: Network, *, shaped: bool = True) -> None:
        if len(network.tiers) < 2:
            raise ConfigError(f"{network.name}: a cluster needs at least 2 tiers; the device runs by itself")
        if not plans:
            raise ConfigError("a cluster needs at least one plan file")
        self.network = network
        self.upstream_address = ""
        self._cascade = Path(cascade)
        self._plans = [Path(plan) for plan in plans]
        self._shaped = shaped
        self._servers: dict[str, ReadyProcess] = {}
        self._relays: ReadyProcess | None = None

    def __enter__(self) -> LocalCluster:
        for attempt in range(ATTEMPTS):
            try:
                self._start()
                return self
            except AddressInUse:
                self.close()
                if attempt == ATTEMPTS - 1:
                    raise
            except BaseException:
                self.close()
                raise
        raise AssertionError("unreachable")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        """All servers at once, then the relays, which must know where the servers listen."""
        tiers = self.network.tiers[1:]
        relay_ports = _free_ports(len(tiers)) if self._shaped else []
        if self._shaped:
            for index, tier in enumerate(tiers):
                self._serve(tier.name, relay_ports[index + 1] if index + 1 < len(tiers) else None)
            ports = [self._wait(tier.name) for tier in tiers]
            self._relay(relay_ports, ports)
            self.upstream_address = f"{HOST}:{relay_ports[0]}"
        else:
            port = None
            for tier in reversed(tiers):
                self._serve(tier.name, port)
                port = self._wait(tier.name)
            self.upstream_address = f"{HOST}:{port}"
        for tier in tiers[:-1]:
            self._wait_connected(tier.name)

    def _serve(self, tier: str, upstream_port: int | None) -> None:
        arguments = ["--cascade", str(self._cascade), "--tier", tier, "--listen", f"{HOST}:0", "--metrics-port", "0"]
        arguments += ["--slow-down", str(self.network.tier(tier).slow_down)]
        for plan in self._plans:
            arguments += ["--plan", str(plan)]
        if upstream_port is not None:
            arguments += ["--upstream", f"{HOST}:{upstream_port}"]
        self._servers[tier] = ReadyProcess("offramp.runtime.server", arguments, f"tier {tier!r}")

    def _wait(self, tier: str) -> int:
        return int(self._servers[tier].wait_ready()["port"])

    def _wait_connected(self, tier: str) -> None:
        """Until the tier has a stream to the next one; goes on without it after a while, as tiers do."""
        until_s = time.monotonic() + CONNECT_S
        while time.monotonic() < until_s and not self.metrics(tier)[f"connections.{tier}"]:
            time.sleep(0.02)

    def _relay(self, relay_ports: Sequence[int], ports: Sequence[int]) -> None:
        arguments = []
        for listen, target, link in zip(relay_ports, ports, self.network.links, strict=True):
            arguments += ["--route", f"{HOST}:{listen},{HOST}:{target},{link.bandwidth_bps},{link.rtt_s}"]
        self._relays = ReadyProcess("offramp.links.relay_process", arguments, "the relays")
        self._relays.wait_ready()

    @property
    def pids(self) -> dict[str, int]:
        """Process id of every tier, and of the relays under ``relays``."""
        found = {name: server.pid for name, server in self._servers.items()}
        if self._relays is not None:
            found["relays"] = self._relays.pid
        return found

    def kill(self, tier: str) -> None:
        """Kill a tier's process (SIGKILL).

        Raises
        ------
        ConfigError : no such tier here
        """
        self._server(tier).kill()

    def metrics(self, tier: str) -> dict[str, float]:
        """What a tier has counted, for example ``rows_executed.edge.2``.

        Raises
        ------
        LinkDown : it does not answer
        ConfigError : no such tier here
        """
        return scrape(HOST, int(self._server(tier).ready["metrics_port"]))

    def counters(self) -> dict[str, float]:
        """The counts of all tiers that answer."""
        found: dict[str, float] = {}
        for tier in self._servers:
            try:
                found.update(self.metrics(tier))
            except OfframpError:
                continue  # killed: it has nothing to say any more
        return found

    def _server(self, tier: str) -> ReadyProcess:
        try:
            return self._servers[tier]
        except KeyError:
            names = ", ".join(self._servers)
            raise ConfigError(f"no process for tier {tier!r} in this cluster; there are {names}") from None

    def close(self) -> None:
        """Stop every process; may be called twice."""
        processes = [*self._servers.values(), *([self._relays] if self._relays is not None else [])]
        self._servers, self._relays = {}, None
        for process in processes:
            process.terminate()
        for process in processes:
            process.close()


def _free_ports(count: int) -> list[int]:
    """Ports nobody listens on right now."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports
