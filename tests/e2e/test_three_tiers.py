"""Device, edge and cloud as processes, links shaped: when all is well, and when the cloud is not."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from offramp.runtime.device import Device
from offramp.runtime.local import LocalCluster
from offramp.runtime.run import run
from tests.e2e.support import GATES, make_world, running
from tests.runtime.support import local_chain
from tests.support.tiny import tiny_rows

pytestmark = pytest.mark.e2e


def test_happy_path(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    rows = tiny_rows(60)
    expected = local_chain(world.cascade, rows, GATES)
    labels = np.array([row[0] for row in expected])
    with LocalCluster(world.cascade.path, [world.plan_file], world.network) as cluster:
        pids = cluster.pids
        assert set(pids) == {"edge", "cloud", "relays"}
        with Device(world.cascade, world.plan, cluster.upstream_address, deadline_s=10.0) as device:
            result = run(device, rows, labels, tier_counters=cluster.counters)
            batch = device.infer_batch(rows)
    assert result.accuracy == 1.0
    assert result.exits == [row[1] for row in expected]
    assert result.tier == result.exits  # one segment per tier
    assert result.degraded_rows == 0
    assert [answer.label for answer in batch] == labels.tolist()
    for exit_index, tier in enumerate(("device", "edge", "cloud")):
        reached = sum(1 for row in expected if row[1] >= exit_index)
        assert result.counters[f"rows_executed.{tier}.{exit_index}"] == reached
    latency_s = np.array(result.latency_s)
    crossed_both = latency_s[np.array(result.tier) == 2]
    assert crossed_both.min() > 0.012  # both links' delays are real
    assert not any(running(pid) for pid in pids.values())


def test_cloud_killed_half_way(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    rows = tiny_rows(60)
    expected = local_chain(world.cascade, rows, GATES)
    cloudy = [index for index, row in enumerate(expected) if row[1] == 2]
    half = cloudy[len(cloudy) // 2]
    with (
        LocalCluster(world.cascade.path, [world.plan_file], world.network) as cluster,
        Device(world.cascade, world.plan, cluster.upstream_address, deadline_s=10.0) as device,
    ):
        result = run(
            device,
            rows,
            np.zeros(60, np.int64),
            before_row=lambda row: cluster.kill("cloud") if row == half else None,
        )
        assert cluster.metrics("edge")["degraded.edge.link_down"] == result.degraded_rows
    assert len(result) == 60
    after = [index for index in cloudy if index >= half]
    assert [index for index, reason in enumerate(result.degraded) if reason] == after
    assert {result.degraded[index] for index in after} == {"link_down"}
    assert {result.exits[index] for index in after} == {1}  # the edge answers with its own exit
    assert max(result.latency_s) < 5.0


def test_edge_killed_leaves_the_device(tmp_path: Path) -> None:
    world = make_world(tmp_path, placement=("edge", "edge", "cloud"))
    with (
        LocalCluster(world.cascade.path, [world.plan_file], world.network) as cluster,
        Device(world.cascade, world.plan, cluster.upstream_address, deadline_s=10.0) as device,
    ):
        assert device.infer(tiny_rows(1)[0]).degraded is None
        cluster.kill("edge")
        answers = [device.infer(row) for row in tiny_rows(20)]
    assert {(answer.tier, answer.exit, answer.degraded) for answer in answers} == {("device", 0, "link_down")}
    assert max(answer.latency_s for answer in answers) < 5.0


def test_an_edge_told_to_end_says_goodbye(tmp_path: Path) -> None:
    world = make_world(tmp_path, placement=("edge", "edge", "cloud"))
    with (
        LocalCluster(world.cascade.path, [world.plan_file], world.network, shaped=False) as cluster,
        Device(world.cascade, world.plan, cluster.upstream_address) as device,
    ):
        assert device.infer(tiny_rows(1)[0]).tier == "edge"
        os.kill(cluster.pids["edge"], signal.SIGTERM)
        while device.connected:
            time.sleep(0.01)
        answer = device.infer(tiny_rows(1)[0])
    assert (answer.tier, answer.exit, answer.degraded) == ("device", 0, "link_down")


@pytest.mark.parametrize("placement", [("device", "cloud", "cloud"), ("cloud",) * 3])
def test_cloud_slow_beyond_the_deadline(tmp_path: Path, placement: tuple[str, ...]) -> None:
    deadline_s, slack_s = 0.4, 0.5
    world = make_world(tmp_path, placement, cloud_slow_down=200_000)
    rows = tiny_rows(60)
    expected = local_chain(world.cascade, rows, GATES)
    going_on = [row for row, (_, exit_index, _) in zip(rows, expected, strict=True) if exit_index > 0][:5]
    with (
        LocalCluster(world.cascade.path, [world.plan_file], world.network) as cluster,
        Device(world.cascade, world.plan, cluster.upstream_address, deadline_s=deadline_s) as device,
    ):
        answers = [device.infer(row) for row in going_on]
    assert {(answer.tier, answer.exit) for answer in answers} == {("device", 0)}
    # the cloud refuses what its queue cannot finish in time; who hears of that often enough asks no more
    assert answers[0].degraded == "deadline"
    assert {answer.degraded for answer in answers} <= {"deadline", "overload", "breaker_open"}
    assert max(answer.latency_s for answer in answers) < deadline_s + slack_s
