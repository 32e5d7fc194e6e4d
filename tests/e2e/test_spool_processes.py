"""A device that spools is killed, and one has no room left on its disk."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from offramp.runtime.answer import Answer
from offramp.runtime.device import Device
from offramp.runtime.spooled import SpooledSample, read_samples
from tests.e2e.support import World, address_of, make_world, start_server, until
from tests.runtime.support import local_chain
from tests.support.tiny import tiny_rows

pytestmark = pytest.mark.e2e

PLACEMENT = ("cloud",) * 3


def command(world: World, spool: Path, *extra: str) -> list[str]:
    files = [str(world.cascade.path), str(world.plan_file), str(spool)]
    return [sys.executable, "-m", "tests.e2e.spooling_device", *files, *extra]


def finished(arguments: Sequence[str]) -> tuple[list[dict[str, float | str]], str]:
    """What a device wrote until its end, line by line, and its warnings."""
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr


@pytest.mark.parametrize("kept", [1, 150])
def test_killed_it_leaves_every_sample_whole_and_the_next_start_delivers(tmp_path: Path, kept: int) -> None:
    world, spool = make_world(tmp_path, PLACEMENT), tmp_path / "spool"
    device = subprocess.Popen(command(world, spool), stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert device.stdout is not None
    stored = 0
    while stored < kept:
        stored = json.loads(device.stdout.readline())["spool.stored"]
    device.kill()
    device.wait()
    device.stdout.close()
    samples = read_samples(spool, world.cascade.manifest)
    assert len(samples) >= stored
    rows = tiny_rows(10_000)[: len(samples)]
    np.testing.assert_array_equal(np.concatenate([sample.inputs[0] for sample in samples]), rows)  # none lost between
    late: list[tuple[SpooledSample, Answer]] = []
    cloud = start_server(world, "cloud")
    try:
        with Device(
            world.cascade,
            world.plan,
            address_of(cloud),
            spool=spool,
            on_late_answer=lambda sample, answer: late.append((sample, answer)),
        ) as again:
            until(lambda: again.spool is not None and not len(again.spool), timeout_s=60.0)
            assert again.infer(rows[0]).degraded is None
    finally:
        cloud.close()
    expected = local_chain(world.cascade, rows, (0.6, 0.8))
    assert [(answer.label, answer.exit) for _, answer in late] == [row[:2] for row in expected]
    assert not list(spool.glob("*.spool"))


def _check_full(lines: list[dict[str, float | str]], errors: str, rows: int) -> float:
    """All answered, some kept, the rest counted as lost with one warning; how many were kept."""
    *answers, end = lines
    assert len(answers) == rows
    assert {(line["exit"], line["degraded"]) for line in answers} == {(0, "link_down")}
    assert max(float(line["latency_s"]) for line in answers) < 5.0
    assert float(end["spool.stored"]) > 0
    assert float(end["spool.lost"]) > 0
    assert float(end["spool.stored"]) + float(end["spool.lost"]) == rows
    assert errors.count("are lost from now on") == 1
    return float(end["spool.stored"])


def test_a_full_disk_costs_samples_and_no_answer(tmp_path: Path) -> None:
    """A disk of 64 KiB in a mount namespace of its own; the records are copied out before it goes with the process."""
    unshare = shutil.which("unshare")
    mount = 'mount -t tmpfs -o size=64k none "$0"'
    if unshare is None or subprocess.run([unshare, "-m", "sh", "-c", mount, str(tmp_path)], check=False).returncode:
        pytest.skip("mounting a small disk is not allowed here")
    world, spool, saved = make_world(tmp_path, PLACEMENT), tmp_path / "spool", tmp_path / "saved"
    spool.mkdir()
    script = f'{mount} && shift && "$@" && cp -r "$0" "{saved}"'
    lines, errors = finished(
        [unshare, "-m", "sh", "-c", script, str(spool), "-", *command(world, spool, "--rows", "600")]
    )
    kept = _check_full(lines, errors, 600)
    samples = read_samples(saved, world.cascade.manifest)
    assert len(samples) == kept
    np.testing.assert_array_equal(np.concatenate([s.inputs[0] for s in samples]), tiny_rows(600)[: len(samples)])


def test_a_file_that_may_not_grow_costs_samples_and_no_answer(tmp_path: Path) -> None:
    world, spool = make_world(tmp_path, PLACEMENT), tmp_path / "spool"
    lines, errors = finished(command(world, spool, "--rows", "600", "--largest-file-bytes", "20000"))
    assert len(read_samples(spool, world.cascade.manifest)) == _check_full(lines, errors, 600)
