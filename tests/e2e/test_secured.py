"""Three tiers that let in only whom they should; and a tier that may not write."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from offramp.errors import ConfigError
from offramp.links.network import load_network
from offramp.runtime.access import OPEN, Access
from offramp.runtime.certificates import Identity
from offramp.runtime.counters import Counters
from offramp.runtime.development_ca import make_certificates
from offramp.runtime.device import Device
from offramp.runtime.loop import run_in_background
from offramp.runtime.process import ReadyProcess
from offramp.runtime.tokens import Token
from offramp.runtime.upstream import Upstream
from tests.e2e.support import GATES, World, make_world
from tests.e2e.test_server_process import start
from tests.runtime.support import local_chain
from tests.support.tiny import tiny_rows

pytestmark = pytest.mark.e2e

NETWORK = """
[[tiers]]
name = "device"
certificate = "certs/device.pem"
key = "certs/device.key"
[[tiers]]
name = "edge"
tls = "server"
ca = "certs/ca.pem"
certificate = "certs/edge.pem"
key = "certs/edge.key"
token_file = "edge.token"
[[tiers]]
name = "cloud"
tls = "mutual"
ca = "certs/ca.pem"
certificate = "certs/cloud.pem"
key = "certs/cloud.key"
token_file = "cloud.token"
[[links]]
source = "device"
target = "edge"
bandwidth_bps = 1e8
[[links]]
source = "edge"
target = "cloud"
bandwidth_bps = 1e8
"""


def secure(folder: Path) -> Path:
    """Certificates, tokens and the network file that names them."""
    make_certificates(folder / "certs", ["device", "edge", "cloud"])
    for tier in ("edge", "cloud"):
        file = folder / f"{tier}.token"
        file.write_text(f"secret-of-the-{tier}-tier")
        file.chmod(0o600)
    (folder / "network.toml").write_text(NETWORK)
    return folder / "network.toml"


@contextlib.contextmanager
def tiers(world: World, network: Path, *more: str) -> Iterator[tuple[ReadyProcess, ReadyProcess]]:
    """Edge and cloud, connected."""
    secured = ("--network", str(network))
    with contextlib.ExitStack() as stack:
        cloud = start(world, *secured)
        stack.callback(cloud.close)
        edge = start(world, *secured, "--upstream", f"127.0.0.1:{cloud.wait_ready()['port']}", *more, tier="edge")
        stack.callback(edge.close)
        edge.wait_ready()
        yield edge, cloud


def test_device_edge_and_cloud_over_tls_and_tokens(tmp_path: Path) -> None:
    world, network = make_world(tmp_path), secure(tmp_path)
    rows = tiny_rows(40)
    expected = local_chain(world.cascade, rows, GATES)
    with tiers(world, network) as (edge, cloud):
        address = f"127.0.0.1:{edge.ready['port']}"
        access = Access.between(load_network(network), "device", "edge")
        with Device(world.cascade, world.plan, address, deadline_s=20.0, access=access) as device:
            answers = device.infer_batch(rows)
            if any(answer.degraded for answer in answers):  # the edge was still connecting to the cloud
                answers = [device.infer(row) for row in rows]
        for process in (edge, cloud):
            assert "secret-of" not in process.errors()
    assert [(answer.label, answer.exit) for answer in answers] == [row[:2] for row in expected]
    assert {answer.tier for answer in answers} == {"device", "edge", "cloud"}
    assert {answer.degraded for answer in answers} == {None}


def test_who_may_not_come_in_answers_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("offramp.runtime.device.CONNECT_S", 0.5)
    world, network = make_world(tmp_path), secure(tmp_path)
    make_certificates(tmp_path / "other", ["device"])
    rows = tiny_rows(10)
    expected = local_chain(world.cascade, rows, GATES)
    right = Access.between(load_network(network), "device", "cloud")
    wrong = {
        "no TLS": OPEN,
        "wrong token": Access(True, right.authorities, right.identity, Token(["some-other-secret-here"])),
        "no token": Access(True, right.authorities, right.identity),
        "no certificate": Access(True, right.authorities, None, right.token),
        "a stranger's certificate": Access(
            True,
            right.authorities,
            Identity.read(tmp_path / "other" / "device.pem", tmp_path / "other" / "device.key"),
            right.token,
        ),
        "another authority": Access(True, (tmp_path / "other" / "ca.pem").read_bytes(), right.identity, right.token),
    }
    server = start(world, "--network", str(network))
    try:
        address = f"127.0.0.1:{server.wait_ready()['port']}"
        for access in wrong.values():
            with Device(world.cascade, world.plan, address, deadline_s=10.0, access=access) as device:
                for row, (label, exit_index, _) in zip(rows, expected, strict=True):
                    answer = device.infer(row)
                    assert (answer.tier, answer.exit) == ("device", 0)
                    assert (answer.degraded is None) == (exit_index == 0)
                    assert answer.label == label or exit_index > 0
        assert run_in_background(_let_in(address, right))
        assert "Traceback" not in server.errors()
        assert "secret" not in server.errors()
    finally:
        assert server.close() == 0


async def _let_in(address: str, access: Access) -> bool:
    upstream = Upstream(address, Counters("device", 3, 3), access=access)
    upstream.start()
    try:
        if not await upstream.wait_connected(10.0):
            return False
        await asyncio.sleep(0.1)
        return upstream.connected
    finally:
        await upstream.close()


def test_an_expired_certificate_stops_the_start(tmp_path: Path) -> None:
    world, network = make_world(tmp_path), secure(tmp_path)
    past = datetime.now(UTC) - timedelta(days=10)
    shutil.rmtree(tmp_path / "certs")
    make_certificates(tmp_path / "certs", ["edge", "cloud"], days=5, now=past)
    server = start(world, "--network", str(network))
    with pytest.raises(ConfigError, match=f"expired on {past + timedelta(days=5):%Y-%m-%d}"):
        server.wait_ready()
    assert server.exit_code == 2
    assert server.errors().count("\n") == 1
    server.close()


def test_a_token_file_open_to_all_is_warned_about(tmp_path: Path) -> None:
    world, network = make_world(tmp_path), secure(tmp_path)
    (tmp_path / "cloud.token").chmod(0o644)
    server = start(world, "--network", str(network))
    try:
        server.wait_ready()
        assert "cloud.token: the token file can be read by others than its owner" in server.errors()
        assert "secret-of" not in server.errors()
    finally:
        server.close()


def test_rest_asks_for_the_same(tmp_path: Path) -> None:
    pytest.importorskip("aiohttp")
    world, network = make_world(tmp_path), secure(tmp_path)
    context = ssl.create_default_context(cafile=str(tmp_path / "certs" / "ca.pem"))
    server = start(world, "--network", str(network), "--rest-port", "0", tier="edge")
    try:
        port = server.wait_ready()["rest_port"]

        def status(headers: dict[str, str]) -> int:
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=context)
            connection.request("GET", "/v2/models/tiny", headers=headers)
            try:
                return connection.getresponse().status
            finally:
                connection.close()

        assert status({}) == 401
        assert status({"Authorization": "Bearer some-other-secret-here"}) == 401
        assert status({"Authorization": "Bearer secret-of-the-edge-tier"}) == 200
    finally:
        server.close()


def test_offramp_run_shows_what_it_is_asked_for(tmp_path: Path) -> None:
    world, network = make_world(tmp_path, placement=("device", "edge", "edge")), secure(tmp_path)
    server = start(world, "--network", str(network), tier="edge")
    rows = tiny_rows(20)
    np.savez(tmp_path / "data.npz", inputs=rows, labels=np.zeros(20, np.int64))
    try:
        port = server.wait_ready()["port"]
        network.write_text(NETWORK.replace('name = "edge"', f'name = "edge"\naddress = "127.0.0.1:{port}"'))
        arguments = ["run", str(world.cascade.path), "--plan", str(world.plan_file), "--network", str(network)]
        arguments += ["--data", str(tmp_path / "data.npz"), "--json", "--output", str(tmp_path / "run.json")]
        done = subprocess.run(
            [sys.executable, "-m", "offramp.cli.main", *arguments], capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, done.stderr
        summary = json.loads(done.stdout)
        assert summary["degraded_rows"] in (0, {}), summary
        assert summary["tier_share"]["edge"] > 0
    finally:
        server.close()


def _contents(folder: Path) -> dict[str, Any]:
    return {
        str(file.relative_to(folder)): (hashlib.sha256(file.read_bytes()).hexdigest(), file.stat().st_mtime_ns)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


#: runs a command without any of root's privileges: without them it cannot write where the mode forbids it
POWERLESS = """
import ctypes, os, sys
for capability in range(64):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP: gone after the exec
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""


def test_a_tier_needs_no_right_to_write_and_no_privilege(tmp_path: Path) -> None:
    """The cascade and its folder are read-only, the working directory too, and the process has no privileges."""
    folder = tmp_path / "sealed"
    folder.mkdir()
    world = make_world(folder, placement=("cloud",) * 3)
    before = _contents(folder)
    for path in [*folder.rglob("*"), folder]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    write = "import sys; open(sys.argv[1] + '/written', 'w')"
    try:
        powerless = [sys.executable, "-c", POWERLESS]
        tried = subprocess.run([*powerless, "-c", write, str(folder)], capture_output=True, text=True, timeout=60)
        assert "PermissionError" in tried.stderr
        arguments = ["--cascade", str(world.cascade.path), "--tier", "cloud", "--plan", str(world.plan_file)]
        process = subprocess.Popen(
            [*powerless, "-m", "offramp.runtime.server", *arguments, "--parent-pid", str(os.getpid())],
            stdout=subprocess.PIPE,
            cwd=folder,
            env={**os.environ, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"},
        )
        try:
            assert process.stdout is not None
            address = f"127.0.0.1:{json.loads(process.stdout.readline())['port']}"
            with Device(world.cascade, world.plan, address, deadline_s=20.0) as device:
                answers = device.infer_batch(tiny_rows(10))
            assert {answer.tier for answer in answers} == {"cloud"}
        finally:
            process.terminate()
            assert process.wait(10) == 0
            assert process.stdout is not None
            process.stdout.close()
        assert _contents(folder) == before
    finally:
        for path in [folder, *folder.rglob("*")]:
            path.chmod(0o755 if path.is_dir() else 0o644)
