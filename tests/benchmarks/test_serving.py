"""The benchmark of servers: one network, one way to ask, and rows that say what could not be measured."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import serving
from benchmarks.peers import load
from benchmarks.peers.resnet20 import CUT, resnet20
from benchmarks.peers.servers import PEERS, features, ours
from offramp.cascade.tail_onnx import tail_model
from tests.interop.environments import ENVIRONMENTS


def test_the_tail_takes_64_kb(tmp_path: Path) -> None:
    cascade = resnet20(tmp_path)
    (spec,) = cascade.manifest.tensors_at(CUT)
    assert features().nbytes == 65536
    assert features().shape[1:] == spec.row_shape
    probabilities = cascade.segment(CUT).run([features()]).probabilities
    assert probabilities is not None
    assert probabilities.sum() == pytest.approx(1.0, abs=1e-5)
    assert len(tail_model(cascade, CUT)) > 1_000_000


def test_our_tier_is_asked_both_ways_and_answers_the_same(tmp_path: Path) -> None:
    cascade = resnet20(tmp_path)
    expected = cascade.segment(CUT).run([features()]).probabilities
    assert expected is not None
    with ours(cascade, tmp_path) as asked:
        for kind in asked.kinds:
            result = serving._load(asked, kind, 4, 0.3, tmp_path)
            serving._same("our tier", result["probabilities"], expected)
            assert result["requests"] > 0
            assert 0 < result["p50_s"] <= result["p99_s"]


def test_an_answer_of_another_network_is_refused() -> None:
    expected = np.array([[0.9, 0.1]], np.float32)
    serving._same("a peer", expected.tobytes().hex(), expected)
    serving._same("a peer", b"[0.9, 0.1]".hex(), expected)
    with pytest.raises(RuntimeError, match="a peer answers"):
        serving._same("a peer", expected[:, ::-1].tobytes().hex(), expected)


def test_what_cannot_be_measured_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "why_not", lambda name: f"no {name} here")
    rows = serving.run(quick=True)
    assert [row.name for row in rows] == [f"{name}: not measured" for name in PEERS]
    assert {row.how for row in rows} == {"not measured"}
    assert rows[0].notes == "no triton-server here"


def test_every_peer_has_an_environment() -> None:
    assert {environment for environment, _ in PEERS.values()} <= set(ENVIRONMENTS)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
    ],
)
def test_answers_over_http(answer: bytes) -> None:
    async def read() -> bytes:
        reader = asyncio.StreamReader()
        reader.feed_data(answer)
        return await load._answer(reader)

    assert asyncio.run(read()) == b"body"


def test_a_refusal_over_http() -> None:
    async def read() -> Any:
        reader = asyncio.StreamReader()
        reader.feed_data(b"HTTP/1.1 503 Busy\r\n\r\n")
        return await load._answer(reader)

    with pytest.raises(RuntimeError, match="503"):
        asyncio.run(read())
