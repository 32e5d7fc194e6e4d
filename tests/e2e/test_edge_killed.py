"""Of two edges one is killed under load."""

from __future__ import annotations

from pathlib import Path

import pytest

from offramp.runtime.device import Device
from offramp.runtime.tolerance import FaultTolerance
from tests.e2e.support import address_of, check_answers, free_port, make_world, start_server, until
from tests.support.tiny import tiny_rows

pytestmark = pytest.mark.e2e


def test_the_other_one_answers_and_the_first_is_preferred_again(tmp_path: Path) -> None:
    world, rows, port = make_world(tmp_path, ("device", "edge", "edge")), tiny_rows(400), free_port()
    first = start_server(world, "edge", "--metrics-port", "0", port=port)
    second = start_server(world, "edge", "--metrics-port", "0")
    try:
        with Device(
            world.cascade,
            world.plan,
            [address_of(first), address_of(second)],
            deadline_s=2.0,
            tolerance=FaultTolerance(retry_most=1000),
        ) as device:
            until(lambda: all(answer.degraded is None for answer in device.infer_batch(rows[:50])))
            answers = []
            for index, answer in enumerate(device.infer_many(rows)):
                if index == 200:
                    first.kill()
                answers.append(answer)
            check_answers(world, rows, answers)
            assert {answer.degraded for answer in answers} == {None}  # what was under way was asked again
            first.close()
            first = start_server(world, "edge", port=port)
            upstream = device._asking.upstream
            assert upstream is not None
            until(lambda: upstream.peers[0].upstream.connected)
            check_answers(world, rows, again := list(device.infer_many(rows)))
            assert {answer.degraded for answer in again} == {None}
            second.kill()
            check_answers(world, rows, last := list(device.infer_many(rows)))
            assert {answer.degraded for answer in last} == {None}
    finally:
        first.close()
        second.close()
