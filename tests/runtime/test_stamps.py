"""Stamps: when each tier did what."""

from __future__ import annotations

import asyncio
import threading
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from offramp.errors import PeerRefused
from offramp.runtime.device import Device
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.stamps import Stamps
from tests.runtime.support import plan_of
from tests.runtime.test_service import call, request_for, serving
from tests.support.tiny import make_tiny_cascade, tiny_rows

OFF = (None, None)


@given(st.floats(0, 1e7), st.lists(st.floats(0, 100), min_size=6, max_size=6))
def test_the_text_keeps_microseconds(arrived_s: float, after_s: list[float]) -> None:
    stamps = Stamps(arrived_s, *(arrived_s + seconds for seconds in sorted(after_s)))
    found = Stamps.from_text(stamps.to_text())
    assert found == pytest.approx(stamps, abs=2e-6)
    assert Stamps.from_text(found.to_text()) == pytest.approx(found, abs=2e-6)


@pytest.mark.parametrize("text", ["", "1,2", "1,0,0,0,0,0,nan", "1,5,4,4,4,4,4", "inf,0,0,0,0,0,0", "1,a,0,0,0,0,0"])
def test_a_peers_nonsense_is_refused(text: str) -> None:
    with pytest.raises(PeerRefused, match="seven finite numbers in order"):
        Stamps.from_text(text)


@pytest.mark.parametrize("placement", [("device", "edge", "cloud"), ("cloud",) * 3, ("edge", "edge", "cloud")])
@pytest.mark.parametrize("together", [False, True])
def test_every_tier_on_the_way_stamps(tmp_path: Path, placement: tuple[str, ...], together: bool) -> None:
    cascade = make_tiny_cascade(tmp_path, segments=3)
    plan = plan_of(cascade, placement, OFF, codec="zstd")
    with (
        serving(cascade, "cloud", plan) as (cloud, _),
        serving(cascade, "edge", plan, cloud) as (edge, _),
        Device(cascade, plan, edge, stamped=True) as device,
    ):
        row = tiny_rows(1)[0]
        answer = asyncio.run(device.infer_async(row)) if together else device.infer(row)
    assert answer.stamps is not None
    assert set(answer.stamps) == {"device", "edge", "cloud"}
    for stamps in answer.stamps.values():
        assert list(stamps) == sorted(stamps)
    near, far = answer.stamps["device"], answer.stamps["cloud"]
    assert near.left_s - near.arrived_s == pytest.approx(answer.latency_s, abs=1e-9)
    for here, there in pairwise(answer.stamps[name] for name in ("device", "edge", "cloud")):  # one process, one clock
        assert here.sent_s <= there.arrived_s + 2e-6
        assert there.left_s <= here.heard_s + 2e-6
    assert far.sent_s == far.heard_s  # it sends nothing on; microseconds, so exactly
    assert "stamps" in answer.to_dict()


def test_nobody_stamps_unasked(tmp_path: Path) -> None:
    cascade = make_tiny_cascade(tmp_path, segments=3)
    plan = plan_of(cascade, ("edge",) * 3, OFF)
    with serving(cascade, "edge", plan) as (edge, _), Device(cascade, plan, edge) as device:
        assert device.infer(tiny_rows(1)[0]).stamps is None
        reply = call(edge, "ModelInfer", request_for(cascade, plan, tiny_rows(1)), pb.ModelInferResponse.FromString)
    assert not [key for key in reply.parameters if key.startswith("stamps")]


def test_an_answer_without_offload_is_all_the_devices(tmp_path: Path) -> None:
    cascade = make_tiny_cascade(tmp_path, segments=3)
    with Device(cascade, plan_of(cascade, ("device",) * 3, OFF), stamped=True) as device:
        answer = device.infer(tiny_rows(1)[0])
    assert answer.stamps is not None
    assert list(answer.stamps) == ["device"]
    stamps = answer.stamps["device"]
    assert stamps.computed_s == stamps.left_s


def test_the_device_computes_one_sample_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cascade = make_tiny_cascade(tmp_path, segments=3)
    busy, most = [0], [0]
    lock = threading.Lock()
    with Device(cascade, plan_of(cascade, ("device",) * 3, OFF), stamped=True) as device:
        run = device._tier.run

        def watched(*args: Any, **kwargs: Any) -> Any:
            with lock:
                busy[0] += 1
                most[0] = max(most[0], busy[0])
            time.sleep(0.005)
            try:
                return run(*args, **kwargs)
            finally:
                with lock:
                    busy[0] -= 1

        monkeypatch.setattr(device._tier, "run", watched)

        async def all_at_once() -> list[Any]:
            return list(await asyncio.gather(*(device.infer_async(row) for row in tiny_rows(8))))

        answers = asyncio.run(all_at_once())
    assert most[0] == 1
    started_s = [answer.stamps["device"].started_s for answer in answers]
    assert started_s == sorted(started_s)  # first come, first served
    last = answers[-1].stamps["device"]
    assert last.started_s - last.arrived_s >= 0.005  # seven were ahead, each held up on purpose
