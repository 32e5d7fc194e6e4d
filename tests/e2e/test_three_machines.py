"""The page on three machines, carried out: its files, its commands, and an upgrade while the device asks."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.docs.test_docs import blocks
from tests.e2e.machines import Machine, cable, can_have_machines, machines
from tests.e2e.support import GATES, make_world
from tests.runtime.support import local_chain
from tests.support.tiny import tiny_rows

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not can_have_machines(), reason="network namespaces need root and the command ip"),
]

PAGE = Path(__file__).parents[2] / "docs" / "deploy-on-three-machines.md"
#: which files the page gives to which machine
EVERYWHERE = ("plan.json", "network.toml", "certs/ca.pem")
FILES = {
    "device": (*EVERYWHERE, "certs/device.pem", "certs/device.key", "edge.token"),
    "edge": (*EVERYWHERE, "certs/edge.pem", "certs/edge.key", "edge.token", "cloud.token"),
    "cloud": (*EVERYWHERE, "certs/cloud.pem", "certs/cloud.key", "cloud.token"),
}


def scripts() -> list[tuple[str, str]]:
    """(machine, commands) of every block of shell, in order."""
    found = []
    for language, text in blocks(PAGE):
        if language == "bash":
            where = re.match(r"# on (?:the )?(\S+)", text)
            assert where is not None, f"on which machine? {text}"
            found.append((where[1], text))
    return found


def prepare(engineer: Path, hosts: dict[str, Machine]) -> None:
    """Make what is made once, and give each machine its files and units."""
    (network,) = [text for language, text in blocks(PAGE) if language == "toml"]
    (engineer / "network.toml").write_text(network)
    ((_, script),) = [one for one in scripts() if one[0] == "engineer's"]
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    subprocess.run(["bash", "-euc", script], cwd=engineer, check=True, timeout=60, env={"PATH": path})
    for name, files in FILES.items():
        for file in files:
            target = hosts[name].folder / file
            target.parent.mkdir(exist_ok=True)
            shutil.copy(engineer / file, target)
        shutil.copytree(engineer / "tiny.cascade", hosts[name].folder / "net.cascade")
    edge, cloud = [text for language, text in blocks(PAGE) if language == "ini"]
    (hosts["edge"].folder / "offramp-edge.service").write_text(hosts["edge"].here(edge))
    (hosts["cloud"].folder / "offramp-cloud@.service").write_text(hosts["cloud"].here(cloud))


def carry_out(machine: Machine, script: str) -> str:
    done = machine.run(script)
    logs = "\n".join(log.read_text()[-1000:] for log in machine.folder.glob("*.log"))
    assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}\n{logs}"
    return done.stdout


@pytest.mark.timeout(400)
def test_the_page_works(tmp_path: Path) -> None:
    engineer = tmp_path / "engineer"
    engineer.mkdir()
    world = make_world(engineer)
    rows = tiny_rows(60)
    samples, stop, told = tmp_path / "samples.npz", tmp_path / "stop", tmp_path / "answers.json"
    np.savez(samples, inputs=rows, labels=np.zeros(len(rows), np.int64))
    with machines(tmp_path, "device", "edge", "cloud") as found:
        hosts = dict(found)
        cable(hosts["device"], "10.77.1.1", hosts["edge"], "10.77.1.2", "20mbit")
        cable(hosts["edge"], "10.77.2.1", hosts["cloud"], "10.77.2.2", "100mbit")
        prepare(engineer, hosts)
        shutil.copy(samples, hosts["device"].folder)
        assert hosts["device"].run("exec 3<>/dev/tcp/10.77.2.2/8001").returncode != 0
        *start, (_, upgrade) = [one for one in scripts() if one[0] != "engineer's"]
        outputs = [carry_out(hosts[name], script) for name, script in start]
        summary = json.loads(outputs[-1])
        assert summary["degraded_rows"] in (0, {}), summary
        assert set(summary["tier_share"]) == {"device", "edge", "cloud"}
        assert all(share > 0 for share in summary["tier_share"].values())

        module = [sys.executable, "-m", "tests.e2e.three_machines_device"]
        with hosts["device"].begin(*module, *map(str, (hosts["device"].folder, samples, stop, told))) as application:
            try:
                carry_out(hosts["cloud"], upgrade)
                carry_out(hosts["device"], "sleep 1")
            finally:
                stop.touch()
            assert application.wait(30) == 0
    answers = json.loads(told.read_text())
    expected = local_chain(world.cascade, rows, GATES)
    assert len(answers) > 100
    assert [(label, exit_index) for _, label, exit_index, _, _ in answers] == [expected[row][:2] for row, *_ in answers]
    assert {tier for _, _, _, tier, _ in answers} == {"device", "edge", "cloud"}
    assert {degraded for *_, degraded in answers} == {None}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not here")
def test_the_units_are_units(tmp_path: Path) -> None:
    edge, cloud = [text for language, text in blocks(PAGE) if language == "ini"]
    for name, text in (("offramp-edge.service", edge), ("offramp-cloud@8001.service", cloud)):
        file = tmp_path / name
        file.write_text(text.replace("/opt/offramp/bin/offramp", "/bin/true"))
        done = subprocess.run(["systemd-analyze", "verify", str(file)], capture_output=True, text=True, timeout=60)
        complaints = [line for line in done.stderr.splitlines() if name in line]
        assert not complaints


def test_nothing_of_it_is_left_behind() -> None:
    done = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    assert f"offramp-{os.getpid()}-" not in done.stdout
