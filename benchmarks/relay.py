"""Whether the relay imitates the link it was asked for: its rate and its delay, from 1 to 200 Mbit/s.

Sender and receiver are in this process, the relay in its own. The rate is that of the bytes between the first and the
last arrival of a long transfer; the delay is the round trip of one byte through the empty link.
"""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from benchmarks.row import BenchmarkRow
from offramp.runtime.process import ReadyProcess

__all__ = ["run"]

RATES_BPS = (1e6, 5e6, 20e6, 50e6, 100e6, 200e6)
RTTS_S = (0.002, 0.01, 0.04)
#: seconds a transfer should take
TRANSFER_S = 2.0
#: bytes at its begin that do not count: the link was empty
LEAD_BYTES = 32 * 1024
HOST = "127.0.0.1"


def run(quick: bool) -> list[BenchmarkRow]:
    """A row for each rate, ours over what was asked, and for each delay, the round trip over what was asked.

    Parameters
    ----------
    quick : short transfers, few round trips
    """
    seconds, trips, repeats = (0.3, 10, 1) if quick else (TRANSFER_S, 100, 5)
    rows = []
    for rate_bps in RATES_BPS:
        found = [_rate_bps(rate_bps, int(rate_bps / 8 * seconds) + LEAD_BYTES) for _ in range(repeats)]
        mine = statistics.median(found)
        worst = max(abs(one / rate_bps - 1) for one in found)
        rows.append(
            BenchmarkRow(
                f"rate, {rate_bps / 1e6:g} Mbit/s asked",
                rate_bps,
                mine,
                mine / rate_bps,
                "bit/s",
                f"measured: median of {repeats} transfers of {seconds:g} s",
                f"within 4 %: the worst is off by {worst:.1%}",
            )
        )
    for rtt_s in RTTS_S:
        times_s = _round_trips_s(rtt_s, trips)
        mine = statistics.median(times_s)
        p95_s = sorted(times_s)[int(0.95 * len(times_s))]
        rows.append(
            BenchmarkRow(
                f"round trip, {rtt_s * 1e3:g} ms asked",
                rtt_s,
                mine,
                mine / rtt_s,
                "s",
                f"measured: median of {trips} round trips of one byte",
                f"within 1 ms each way: {(mine - rtt_s) * 1e3:.2f} ms more, p95 {(p95_s - rtt_s) * 1e3:.2f} ms more",
            )
        )
    return rows


@contextmanager
def _link(bandwidth_bps: float, rtt_s: float) -> Iterator[tuple[socket.socket, socket.socket]]:
    """Both ends of a connection through a relay."""
    with closing(socket.create_server((HOST, 0))) as listener, closing(socket.create_server((HOST, 0))) as taken:
        relay_port = taken.getsockname()[1]
        taken.close()
        route = f"{HOST}:{relay_port},{HOST}:{listener.getsockname()[1]},{bandwidth_bps},{rtt_s}"
        relay = ReadyProcess("offramp.links.relay_process", ["--route", route], "the relay")
        try:
            relay.wait_ready()
            with closing(socket.create_connection((HOST, relay_port))) as near:
                far, _ = listener.accept()
                with closing(far):
                    for end in (near, far):
                        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    yield near, far
        finally:
            relay.close()


def _rate_bps(asked_bps: float, size: int) -> float:
    with _link(asked_bps, 0.0) as (near, far):
        sender = threading.Thread(target=near.sendall, args=(bytes(size),))
        sender.start()
        got, first_s, first_bytes = 0, 0.0, 0
        while got < size:
            got += len(far.recv(1 << 20))
            if got >= LEAD_BYTES and not first_s:
                first_s, first_bytes = time.perf_counter(), got
        seconds = time.perf_counter() - first_s
        sender.join()
    return (size - first_bytes) * 8 / seconds


def _round_trips_s(rtt_s: float, trips: int) -> list[float]:
    found = []
    with _link(1e9, rtt_s) as (near, far):
        echo = threading.Thread(target=_echo, args=(far,))
        echo.start()
        for trip in range(trips + 5):
            begin_s = time.perf_counter()
            near.sendall(b"x")
            near.recv(1)
            if trip >= 5:
                found.append(time.perf_counter() - begin_s)
            time.sleep(0.005)
        near.shutdown(socket.SHUT_WR)
        echo.join(10)
    return found


def _echo(end: socket.socket) -> None:
    while data := end.recv(64):
        end.sendall(data)
