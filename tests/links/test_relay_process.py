"""Relays as a process: ready line, SIGTERM, a parent that is gone, errors."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from offramp.errors import ConfigError
from offramp.links.relay_process import main, parse_route

MODULE = [sys.executable, "-m", "offramp.links.relay_process"]


@contextmanager
def relay_process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen([*MODULE, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def ports(process: subprocess.Popen[str]) -> list[int]:
    assert process.stdout is not None
    line = json.loads(process.stdout.readline())
    assert line["ready"] is True
    return [int(port) for port in line["ports"]]


@contextmanager
def echo_once() -> Iterator[int]:
    """A server that echoes one message on one connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(connection.recv(100))

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        thread.join(10)


@pytest.mark.e2e
def test_several_links_until_sigterm() -> None:
    with echo_once() as first, echo_once() as second:
        routes = [f"--route=127.0.0.1:0,127.0.0.1:{port},8e6,0.02" for port in (first, second)]
        with relay_process(*routes, f"--parent-pid={os.getpid()}") as process:
            listening = ports(process)
            assert len(set(listening)) == 2
            for port in listening:
                with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
                    client.sendall(b"ping")
                    assert client.recv(100) == b"ping"
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 0
            assert process.stderr is not None
            assert process.stderr.read() == ""


@pytest.mark.e2e
def test_it_ends_with_its_parent() -> None:
    parent = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        with relay_process("--route=127.0.0.1:0,127.0.0.1:1,8e6,0", f"--parent-pid={parent.pid}") as process:
            ports(process)
            parent.kill()
            parent.wait(10)
            assert process.wait(10) == 0
    finally:
        parent.kill()
        parent.communicate()


@pytest.mark.e2e
def test_a_taken_port_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        route = f"--route=127.0.0.1:{taken.getsockname()[1]},127.0.0.1:1,8e6,0"
        done = subprocess.run([*MODULE, route], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 8
    assert done.stdout == ""
    assert done.stderr.startswith("error: the relay cannot listen on 127.0.0.1:")
    assert len(done.stderr.splitlines()) == 1


def test_bad_routes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--route", "127.0.0.1:0,127.0.0.1:1,0,0"]) == 2
    assert "bandwidth_bps must be a positive number" in capsys.readouterr().err
    with pytest.raises(ConfigError, match="a route is LISTEN,TARGET"):
        parse_route("127.0.0.1:0")
    with pytest.raises(ConfigError, match="must be numbers"):
        parse_route("127.0.0.1:0,127.0.0.1:1,fast,0")


def test_a_route_with_a_trace(tmp_path: Path) -> None:
    file = tmp_path / "trace.csv"
    file.write_text("time_s,bandwidth_bps\n0,8000\n1,0\n")
    route = parse_route(f"127.0.0.1:0,127.0.0.1:1,5e6,0.02,{file}")
    assert route.trace is not None
    assert route.trace.at(2) == 0
    assert route.relay().trace is route.trace
    assert route.link.rtt_s == 0.02
