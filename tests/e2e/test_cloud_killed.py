"""The cloud is killed under load, and comes back where it was: as itself, and with another cascade."""

from __future__ import annotations

from pathlib import Path

import pytest

from offramp.runtime.device import Device
from tests.e2e.support import address_of, check_answers, free_port, make_world, start_server, until
from tests.runtime.support import plan_of
from tests.support.tiny import make_tiny_cascade, tiny_rows

pytestmark = pytest.mark.e2e


def test_everyone_is_answered_and_the_cloud_is_found_again(tmp_path: Path) -> None:
    world, rows, port = make_world(tmp_path), tiny_rows(300), free_port()
    cloud = start_server(world, "cloud", port=port)
    edge = start_server(world, "edge", "--upstream", address_of(cloud))
    try:
        with Device(world.cascade, world.plan, address_of(edge), deadline_s=1.0) as device:
            until(lambda: device.infer_batch(rows[:20])[-1].degraded is None and _reaches_cloud(device, rows))
            answers = []
            for index, answer in enumerate(device.infer_many(rows)):
                if index == 150:
                    cloud.kill()
                answers.append(answer)
            check_answers(world, rows, answers)
            assert max(answer.latency_s for answer in answers) < 5.0
            after = [device.infer(row) for row in rows[:60]]
            check_answers(world, rows[:60], after)
            assert {answer.tier for answer in after} == {"device", "edge"}
            assert {answer.degraded for answer in after} <= {None, "link_down", "breaker_open"}
            cloud.close()
            cloud = start_server(world, "cloud", port=port)
            until(lambda: _reaches_cloud(device, rows))
            back = device.infer_batch(rows)
            check_answers(world, rows, back)
            assert {answer.degraded for answer in back} == {None}
    finally:
        assert edge.close() == 0
        cloud.close()


def _reaches_cloud(device: Device, rows: object) -> bool:
    return any(answer.tier == "cloud" for answer in device.infer_batch(rows))  # type: ignore[arg-type]  # an array


def test_another_cascade_in_its_place_is_refused(tmp_path: Path) -> None:
    world, rows, port = make_world(tmp_path, ("device", "cloud", "cloud")), tiny_rows(40), free_port()
    other = make_tiny_cascade(tmp_path / "other", segments=3, seed=7)
    plan_of(other, ("device", "cloud", "cloud"), (0.6, 0.8)).save(tmp_path / "other.json")
    changed = type(world)(other, world.plan, tmp_path / "other.json", world.network)
    cloud = start_server(world, "cloud", port=port)
    try:
        with Device(world.cascade, world.plan, address_of(cloud), deadline_s=2.0) as device:
            check_answers(world, rows, before := device.infer_batch(rows))
            assert {answer.degraded for answer in before} == {None}
            assert cloud.close() == 0
            cloud = start_server(changed, "cloud", port=port)
            until(lambda: device.connected)
            answers = [device.infer(row) for row in rows]
            check_answers(world, rows, answers)
            assert {answer.degraded for answer in answers} == {None, "refused"}
    finally:
        cloud.close()
