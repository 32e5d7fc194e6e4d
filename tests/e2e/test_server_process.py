"""One server as a process: bad requests, bad starts, and its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from offramp.errors import AddressInUse, CascadeError, ConfigError, RecordMismatch
from offramp.runtime.local import LocalCluster
from offramp.runtime.probe import measure_transport
from offramp.runtime.process import ReadyProcess
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from tests.e2e.support import World, make_world, running
from tests.runtime.support import plan_of
from tests.runtime.test_service import call, request_for, stream
from tests.support.tiny import make_tiny_cascade, tiny_rows

pytestmark = pytest.mark.e2e


def start(world: World, *extra: str, tier: str = "cloud") -> ReadyProcess:
    arguments = ["--cascade", str(world.cascade.path), "--tier", tier, "--plan", str(world.plan_file), *extra]
    return ReadyProcess("offramp.runtime.server", arguments, "the server")


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "waited too long"
        time.sleep(0.02)


def test_a_wrong_shape_is_a_clean_error(tmp_path: Path) -> None:
    world = make_world(tmp_path, placement=("cloud",) * 3)
    server = start(world)
    try:
        address = f"127.0.0.1:{server.wait_ready()['port']}"
        wrong = request_for(world.cascade, world.plan, np.zeros((1, 7), np.float32), "wrong")
        right = request_for(world.cascade, world.plan, tiny_rows(1), "right")
        first, second = stream(address, [wrong, right])
        assert first.error_message == "INVALID_ARGUMENT: tensor 'x' must have the shape (n, 4), not (1, 7)"
        assert (second.infer_response.id, second.error_message) == ("right", "")
        assert call(address, "ServerLive", pb.ServerLiveRequest(), pb.ServerLiveResponse.FromString).live
    finally:
        assert server.close() == 0


def test_a_corrupted_cascade_is_refused(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    file = world.cascade.path / world.cascade.manifest.segments[1].file
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 0xFF
    file.write_bytes(bytes(content))
    server = start(world)
    with pytest.raises(CascadeError, match="segment 1 does not match its sha256"):
        server.wait_ready()
    assert server.exit_code == 3
    assert server.errors().count("\n") == 1
    server.close()


def test_bad_starts_are_named(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    other = make_tiny_cascade(tmp_path, name="other", segments=3, seed=5)
    plan_of(other, ("cloud",) * 3, (0.5, 0.5)).save(tmp_path / "other.json")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        cases = [
            (start(world, "--listen", f"127.0.0.1:{port}"), AddressInUse, 8, f"cannot listen on 127.0.0.1:{port}"),
            (start(world, "--metrics-port", str(port)), AddressInUse, 8, "cannot expose metrics"),
            (start(world, "--plan", str(tmp_path / "other.json")), RecordMismatch, 5, "another build"),
            (start(world, "--plan", str(tmp_path / "none.json")), ConfigError, 2, "no such plan"),
            (start(world, tier="fog"), ConfigError, 2, "no tier 'fog'"),
            (start(world, "--upstream", "nowhere"), ConfigError, 2, "HOST:PORT"),
        ]
        for server, error, code, sentence in cases:
            with pytest.raises(error, match=sentence):
                server.wait_ready()
            assert server.exit_code == code
            assert "Traceback" not in server.errors()
            server.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told(tmp_path: Path, number: signal.Signals) -> None:
    server = start(make_world(tmp_path), "--metrics-port", "0", "--upstream", "127.0.0.1:9", tier="edge")
    server.wait_ready()
    begin_s = time.monotonic()
    os.kill(server.pid, number)
    until(lambda: server.exit_code is not None)
    assert server.exit_code == 0
    assert time.monotonic() - begin_s < 3.0
    assert server.errors() == ""
    server.close()


def test_nothing_outlives_a_killed_parent(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    script = f"""
import sys, time
from offramp.links.network import load_network
from offramp.runtime.local import LocalCluster
from tests.e2e.support import make_world
from pathlib import Path
world = make_world(Path({str(tmp_path / "again")!r}))
with LocalCluster(world.cascade.path, [world.plan_file], world.network) as cluster:
    print(*cluster.pids.values(), flush=True)
    time.sleep(60)
"""
    (tmp_path / "again").mkdir()
    root = Path(__file__).parents[2]
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=root, text=True)
    assert parent.stdout is not None
    pids = [int(pid) for pid in parent.stdout.readline().split()]
    assert len(pids) == 3
    assert all(running(pid) for pid in pids)
    parent.kill()
    parent.wait()
    parent.stdout.close()
    until(lambda: not any(running(pid) for pid in pids))
    assert world.plan_file.exists()


def test_a_cluster_that_cannot_start_leaves_nothing(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    cluster = LocalCluster(world.cascade.path, [tmp_path / "none.json"], world.network)
    with pytest.raises(ConfigError, match="no such plan"):
        cluster.__enter__()
    assert cluster.pids == {}


@pytest.mark.parametrize("through_relay", [False, True])
def test_transport_is_measured(tmp_path: Path, through_relay: bool) -> None:
    world = make_world(tmp_path)
    cost = measure_transport(world.cascade.path, rows=20, pause_s=0.001, through_relay=through_relay)
    assert 0 < cost.hop_s < 0.5
    assert 50 < cost.request_overhead_bytes < 400
    assert 100 < cost.answer_bytes < 600
