"""The wall clock jumps, an hour ahead and two back: deadlines, breakers and the spool go by the monotonic one."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from offramp.runtime.device import Device
from tests.e2e.support import World, check_answers, make_world, until
from tests.support.tiny import tiny_rows

pytestmark = pytest.mark.e2e

HOUR_S = 3600.0


@pytest.fixture
def offset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file whose seconds are added to the wall clock of this process and of the server."""
    file = tmp_path / "offset"
    file.write_text("0")
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() + float(file.read_text()))
    return file


@pytest.fixture
def world(tmp_path: Path) -> World:
    return make_world(tmp_path, placement=("device", "cloud", "cloud"))


@pytest.fixture
def cloud(world: World, offset: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "tests.e2e.jumping_server", str(offset), "--cascade", str(world.cascade.path)]
    command += ["--tier", "cloud", "--plan", str(world.plan_file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield f"127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        finally:
            process.terminate()
        assert process.wait(10) == 0


def test_answers_come_as_before(world: World, cloud: str, offset: Path) -> None:
    rows = tiny_rows(90)
    with Device(world.cascade, world.plan, cloud, deadline_s=10.0) as device:
        answers = []
        for index, row in enumerate(rows):
            if index in (30, 60):
                offset.write_text(str(HOUR_S if index == 30 else -2 * HOUR_S))
            answers.append(device.infer(row))
        assert device.breakers == {cloud: "closed"}
    check_answers(world, rows, answers)
    assert {answer.degraded for answer in answers} == {None}
    assert all(0 <= answer.latency_s < 10.0 for answer in answers)


def test_a_jump_while_answers_are_awaited_loses_none(world: World, cloud: str, offset: Path) -> None:
    rows = tiny_rows(200, seed=4)
    with Device(world.cascade, world.plan, cloud, deadline_s=10.0, max_in_flight=32) as device:
        futures = []
        for index, row in enumerate(rows):
            futures.append(device.submit(row))
            if index % 40 == 20:
                offset.write_text(str(HOUR_S * (-1) ** index * index))
        answers = [future.result(30) for future in futures]
    check_answers(world, rows, answers)
    assert {answer.degraded for answer in answers} == {None}


def test_what_was_spooled_before_the_jump_is_delivered_after_it(
    world: World, cloud: str, offset: Path, tmp_path: Path
) -> None:
    nobody = "127.0.0.1:9"
    rows = tiny_rows(20)
    with Device(world.cascade, world.plan, nobody, spool=tmp_path / "spool", deadline_s=1.0) as device:
        degraded = [answer for answer in map(device.infer, rows) if answer.degraded]
    assert degraded
    offset.write_text(str(-HOUR_S))
    late: list[int] = []
    with Device(
        world.cascade, world.plan, cloud, spool=tmp_path / "spool", on_late_answer=lambda _, answer: late.append(1)
    ) as device:
        assert device.deliver(30.0)
        until(lambda: len(late) == len(degraded))
