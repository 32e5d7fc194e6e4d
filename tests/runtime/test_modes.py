"""Forced modes: where work is done, what is sent, and that there is always an answer."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.store import Cascade
from offramp.errors import ConfigError
from offramp.runtime.device import Device
from offramp.runtime.modes import MODES, Mode
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from tests.runtime.support import fake_peer, local_chain, plan_of
from tests.runtime.test_device import GATES, edge_of
from tests.support.tiny import make_tiny_cascade, tiny_rows

PLACEMENT = ("device", "edge", "edge")
FORCED: list[Mode] = ["prefer-device", "only-device", "prefer-cloud", "only-cloud"]


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("for_each", [False, True])
def test_every_mode_gives_the_plan_s_answers(cascade: Cascade, mode: Mode, for_each: bool) -> None:
    plan, rows = plan_of(cascade, PLACEMENT, GATES), tiny_rows(30)
    expected = local_chain(cascade, rows, GATES)
    usual: Mode = "plan" if for_each else mode
    asked = mode if for_each else None
    with edge_of(cascade, plan) as address, Device(cascade, plan, address, mode=usual, deadline_s=10.0) as device:
        answers = [device.infer(row, mode=asked) for row in rows]
        answers += device.infer_batch(rows, mode=asked)
        answers += [future.result() for future in [device.submit(row, mode=asked) for row in rows]]
        answers += [asyncio.run(device.infer_async(row, mode=asked)) for row in rows[:3]]
    wanted = [*expected * 3, *expected[:3]]
    assert [(answer.label, answer.exit) for answer in answers] == [row[:2] for row in wanted]
    assert {answer.degraded for answer in answers} == {None}
    for answer in answers:
        on_device = {"only-device": True, "plan": answer.exit == 0}.get(mode, "cloud" not in mode)
        # 'prefer-device' asks the edge until it knows how long the segments beyond the plan take here
        if mode != "prefer-device" or not for_each:
            assert (answer.tier == "device") == on_device
            assert (answer.sent_bytes > 0) == (not on_device)


def test_only_device_sends_nothing_and_needs_no_upstream(cascade: Cascade) -> None:
    plan, rows = plan_of(cascade, PLACEMENT, GATES), tiny_rows(20)
    with Device(cascade, plan, mode="only-device") as device:
        answers = [device.infer(row) for row in rows]
        assert device.counters.bytes_out == 0
    assert [(a.label, a.exit) for a in answers] == [row[:2] for row in local_chain(cascade, rows, GATES)]


def test_prefer_device_asks_on_where_the_device_is_too_slow(cascade: Cascade) -> None:
    plan, row = plan_of(cascade, PLACEMENT, (None, None)), tiny_rows(1)[0]
    with edge_of(cascade, plan) as address, Device(cascade, plan, address, mode="prefer-device") as device:
        assert device.infer(row).tier == "device"
        device._tier.segment(device._following.local, 2).row_s = 60.0
        assert device.infer(row).tier == "edge"
        assert device.infer(row, deadline_s=300.0).tier == "device"


@pytest.mark.parametrize(("mode", "exit_index"), [("prefer-cloud", 1), ("only-cloud", 0)])
def test_without_the_cloud_the_device_answers(cascade: Cascade, mode: Mode, exit_index: int) -> None:
    plan, row = plan_of(cascade, ("device", "device", "edge"), (None, None)), tiny_rows(1)[0]
    with Device(cascade, plan, "127.0.0.1:9", mode=mode) as device:
        answer = device.infer(row)
    assert (answer.exit, answer.tier, answer.degraded) == (exit_index, "device", "link_down")


def test_the_device_is_at_work_while_the_cloud_is_asked(cascade: Cascade) -> None:
    plan, row = plan_of(cascade, ("device", "device", "edge"), (None, None)), tiny_rows(1)[0]

    async def silence(request: pb.ModelInferRequest) -> None:
        """Never answers."""

    with fake_peer(silence) as address, Device(cascade, plan, address, deadline_s=0.5) as device:
        preferred = device.infer(row, mode="prefer-cloud")
        assert device.counters.rows_executed == [1, 1, 0]
        only = device.infer(row, mode="only-cloud")
        assert device.counters.rows_executed == [2, 1, 0]
    assert (preferred.exit, preferred.degraded) == (1, "deadline")
    assert (only.exit, only.degraded) == (0, "deadline")
    assert max(preferred.latency_s, only.latency_s) > 0


def test_a_sample_goes_on_as_it_is(cascade: Cascade) -> None:
    seen: list[pb.ModelInferRequest] = []

    async def look(request: pb.ModelInferRequest) -> None:
        seen.append(request)

    plan, row = plan_of(cascade, PLACEMENT, GATES), tiny_rows(1)[0]
    with fake_peer(look) as address, Device(cascade, plan, address, deadline_s=0.5) as device:
        device.infer(row, mode="only-cloud", deadline_s=0.2)
    assert seen[0].parameters["segment"].int64_param == 0
    assert seen[0].raw_input_contents[0] == row.tobytes()
    assert 0 < seen[0].parameters["deadline_ms"].double_param < 200


def test_settings_are_checked(cascade: Cascade) -> None:
    local, row = plan_of(cascade, ("device",) * 3, GATES), np.zeros(4, np.float32)
    with pytest.raises(ConfigError, match="'only-cloud' sends samples on"):
        Device(cascade, local, mode="only-cloud")
    with pytest.raises(ConfigError, match="unknown mode 'fog'; the modes are plan, prefer-device"):
        Device(cascade, local, mode="fog")  # type: ignore[arg-type]  # wrong on purpose
    with Device(cascade, local) as device:
        for mode in ("prefer-cloud", "only-cloud"):
            with pytest.raises(ConfigError, match="no upstream was given"):
                device.infer(row, mode=mode)
        for deadline_s in (0.0, -1.0, float("nan")):
            with pytest.raises(ConfigError, match="deadline_s"):
                device.infer(row, deadline_s=deadline_s)
            with pytest.raises(ConfigError, match="deadline_s"):
                device.submit(row, deadline_s=deadline_s)
        assert device.infer(row, mode="prefer-device").tier == "device"
