"""A tier whose segments run on Ray Serve: two replicas, one of which is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from offramp.cascade.store import Cascade
from offramp.planning.plan import Plan
from offramp.runtime.device import Device
from tests.interop.environments import python_of
from tests.interop.servers import need
from tests.runtime.support import local_chain, plan_of
from tests.support.tiny import make_tiny_cascade, tiny_rows

GATES = (0.6, 0.8)
#: seconds until Ray has ended
END_S = 60.0


class Served(NamedTuple):
    cascade: Cascade
    plan: Plan
    address: str
    pid: int


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    need("ray")
    folder = tmp_path_factory.mktemp("ray")
    cascade = make_tiny_cascade(folder, segments=3)
    plan = plan_of(cascade, ("cloud",) * 3, GATES)
    file = folder / "plan.json"
    plan.save(file)
    command = [str(python_of("ray")), "-m", "offramp.runtime.server", "--cascade", str(cascade.path)]
    command += ["--tier", "cloud", "--plan", str(file), "--engine", "ray", "--replicas", "2"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}
    with (folder / "errors").open("wb") as errors:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=environment)
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (folder / "errors").read_text(errors="replace")[-2000:]
        yield Served(cascade, plan, f"127.0.0.1:{json.loads(line)['port']}", process.pid)
    finally:
        process.terminate()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdout is not None:
            process.stdout.close()


def replicas_of(pid: int) -> list[int]:
    """Process ids of the replicas among the descendants of a process."""
    parents, names = {}, {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                names[int(folder.name)] = (folder / "cmdline").read_bytes()
                parents[int(folder.name)] = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue  # it has just ended

    def descends(child: int) -> bool:
        return child == pid or (child in parents and descends(parents[child]))

    return [child for child, name in names.items() if name.startswith(b"ray::ServeReplica") and descends(child)]


def test_rows_one_by_one_and_in_a_batch(served: Served) -> None:
    rows = tiny_rows(100)
    expected = [(label, exit_index) for label, exit_index, _ in local_chain(served.cascade, rows, GATES)]
    with Device(served.cascade, served.plan, served.address, deadline_s=30.0) as device:
        single = [device.infer(row) for row in rows[:20]]
        batch = device.infer_batch(rows)
    assert [(answer.label, answer.exit) for answer in single] == expected[:20]
    assert [(answer.label, answer.exit) for answer in batch] == expected
    assert {(answer.tier, answer.degraded) for answer in [*single, *batch]} == {("cloud", None)}


def test_a_killed_replica_loses_no_answer(served: Served) -> None:
    rows = tiny_rows(400, seed=3)
    expected = local_chain(served.cascade, rows, GATES)
    replicas = replicas_of(served.pid)
    assert len(replicas) == 2
    with (
        Device(served.cascade, served.plan, served.address, deadline_s=60.0) as device,
        ThreadPoolExecutor(1) as killer,
    ):
        answers = []
        for index, answer in enumerate(device.infer_many(rows)):
            answers.append(answer)
            if index == 100:
                killer.submit(os.kill, replicas[0], signal.SIGKILL)
    assert [(answer.label, answer.exit) for answer in answers] == [row[:2] for row in expected]
    assert {(answer.tier, answer.degraded) for answer in answers} == {("cloud", None)}
    for answer, (_, _, probabilities) in zip(answers, expected, strict=True):
        np.testing.assert_allclose(answer.probabilities, probabilities, atol=1e-5)
