"""The link breaks, hangs and flaps while samples stream over it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from offramp.runtime.answer import Answer
from offramp.runtime.device import Device
from offramp.runtime.process import ReadyProcess
from offramp.runtime.spooled import SpooledSample
from tests.e2e.support import address_of, check_answers, free_port, make_world, start_server, until
from tests.runtime.support import local_chain
from tests.support.tiny import tiny_rows

pytestmark = pytest.mark.e2e

PLACEMENT = ("device", "cloud", "cloud")
Late = list[tuple[SpooledSample, Answer]]


def start_relay(port: int, server: ReadyProcess, trace: Path | None = None) -> ReadyProcess:
    route = f"127.0.0.1:{port},{address_of(server)},20e6,0.002" + ("" if trace is None else f",{trace}")
    relay = ReadyProcess("offramp.links.relay_process", ["--route", route], "the relay")
    relay.wait_ready()
    return relay


def test_broken_and_back_the_spool_is_delivered(tmp_path: Path) -> None:
    world, rows, port, late = make_world(tmp_path, PLACEMENT), tiny_rows(200), free_port(), Late()
    planned = local_chain(world.cascade, rows, (0.6, 0.8))
    cloud = start_server(world, "cloud")
    relay = start_relay(port, cloud)
    try:
        with Device(
            world.cascade,
            world.plan,
            f"127.0.0.1:{port}",
            deadline_s=1.0,
            spool=tmp_path / "spool",
            on_late_answer=lambda sample, answer: late.append((sample, answer)),
        ) as device:
            answers = []
            for index, answer in enumerate(device.infer_many(rows)):
                if index == 100:
                    relay.kill()
                answers.append(answer)
            check_answers(world, rows, answers)
            degraded = [index for index, answer in enumerate(answers) if answer.degraded]
            assert degraded
            assert {answers[index].degraded for index in degraded} <= {"link_down", "deadline"}
            assert max(answer.latency_s for answer in answers) < 5.0
            relay.close()
            relay = start_relay(port, cloud)
            until(lambda: len(late) >= len(degraded))
            check_answers(world, rows, after := device.infer_batch(rows))
            assert {answer.degraded for answer in after} == {None}
    finally:
        relay.close()
        cloud.close()
    expected = {rows[index].tobytes(): planned[index][:2] for index in degraded}
    assert {sample.inputs[0].tobytes(): (answer.label, answer.exit) for sample, answer in late} == expected


def test_silent_and_back(tmp_path: Path) -> None:
    """The relay stops passing anything on, and nobody is told."""
    world, rows, port = make_world(tmp_path, PLACEMENT), tiny_rows(60), free_port()
    cloud = start_server(world, "cloud")
    relay = start_relay(port, cloud)
    try:
        with Device(world.cascade, world.plan, f"127.0.0.1:{port}", deadline_s=0.5) as device:
            until(lambda: any(answer.tier == "cloud" for answer in device.infer_batch(rows)))
            os.kill(relay.pid, signal.SIGSTOP)
            check_answers(world, rows, silent := list(device.infer_many(rows)))
            assert {answer.degraded for answer in silent} <= {None, "deadline", "breaker_open", "link_down"}
            assert any(answer.degraded for answer in silent)
            os.kill(relay.pid, signal.SIGCONT)
            until(lambda: any(answer.tier == "cloud" for answer in device.infer_batch(rows)))
            check_answers(world, rows, list(device.infer_many(rows)))
    finally:
        os.kill(relay.pid, signal.SIGCONT)
        relay.close()
        cloud.close()


def test_flapping(tmp_path: Path) -> None:
    """Four tenths of every second nothing passes."""
    world, port = make_world(tmp_path, PLACEMENT), free_port()
    trace = tmp_path / "flapping.csv"
    steps = [f"{second},20e6\n{second}.6,0" for second in range(60)]
    trace.write_text("time_s,bandwidth_bps\n" + "\n".join(steps) + "\n60,20e6\n")
    cloud = start_server(world, "cloud")
    relay = start_relay(port, cloud, trace)
    rows = tiny_rows(2000)
    try:
        with Device(world.cascade, world.plan, f"127.0.0.1:{port}", deadline_s=0.5, max_in_flight=4) as device:
            answers = list(device.infer_many(rows))
            check_answers(world, rows, answers)
            assert any(answer.tier == "cloud" for answer in answers)
            assert max(answer.latency_s for answer in answers) < 5.0
            until(lambda: all(answer.degraded is None for answer in device.infer_batch(rows[:50])))
    finally:
        relay.close()
        cloud.close()
