"""Our device with a real Triton and a real MLServer as its next tier, serving exported tails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from offramp.cascade.exporting import export_tails
from offramp.cascade.repository import Repository
from offramp.cascade.repository_mlserver import MLServerRepository
from offramp.cascade.repository_triton import TritonRepository
from offramp.cascade.store import Cascade
from offramp.runtime.device import Device
from tests.interop.servers import mlserver, triton
from tests.runtime.support import local_chain, plan_of
from tests.support.tiny import make_tiny_cascade, tiny_rows

GATES = (0.6, 0.8)
SPLIT = ("device", "cloud", "cloud")

Start = Callable[[Path, Path], AbstractContextManager[str]]


class Peer(NamedTuple):
    """A server that is up, and the cascade whose tails it has."""

    name: str
    address: str
    cascade: Cascade


@pytest.fixture(scope="module", params=["triton", "mlserver"])
def peer(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Peer]:
    folder = tmp_path_factory.mktemp(request.param)
    cascade = make_tiny_cascade(folder, segments=3)
    repositories: dict[str, tuple[Repository, Start]] = {
        "triton": (TritonRepository("python"), triton),
        "mlserver": (MLServerRepository(), mlserver),
    }
    repository, start = repositories[request.param]
    export_tails(cascade, repository, folder / "models", [1, 2])
    with start(folder / "models", folder) as address:
        yield Peer(request.param, address, cascade)


def device_of(peer: Peer, **options: Any) -> Device:
    plan = plan_of(peer.cascade, options.pop("placement", SPLIT), GATES, options.pop("codec", "raw"))
    return Device(peer.cascade, plan, f"oip://{peer.address}", deadline_s=20.0, **options)


def check(peer: Peer, rows: Any, answers: Any, gates: tuple[float | None, ...]) -> None:
    """Every answer is that of the chain without the gates beyond the link, none is degraded."""
    expected = local_chain(peer.cascade, rows, gates)
    assert not [answer.degraded for answer in answers if answer.degraded]
    assert [(answer.label, answer.exit) for answer in answers] == [row[:2] for row in expected]
    for answer, (_, _, probabilities) in zip(answers, expected, strict=True):
        np.testing.assert_allclose(answer.probabilities, probabilities, atol=1e-5)
    assert {answer.tier for answer in answers} == {"device", "cloud"}


@pytest.mark.parametrize("codec", ["raw", "zstd"])
def test_one_by_one_and_in_a_batch(peer: Peer, codec: str) -> None:
    rows = tiny_rows(40)
    with device_of(peer, codec=codec) as device:
        check(peer, rows, [device.infer(row) for row in rows], (GATES[0], None))
        check(peer, rows, device.infer_batch(rows), (GATES[0], None))


def test_a_batch_larger_than_the_server_takes(peer: Peer) -> None:
    rows = tiny_rows(300, seed=5)
    with device_of(peer) as device:
        check(peer, rows, device.infer_batch(rows), (GATES[0], None))


def test_another_cut_is_another_model(peer: Peer) -> None:
    rows = tiny_rows(60, seed=3)
    with device_of(peer, placement=("device", "device", "cloud")) as device:
        check(peer, rows, device.infer_batch(rows), GATES)


def test_several_in_flight_get_their_own_answers(peer: Peer) -> None:
    import asyncio

    rows = tiny_rows(60, seed=4)

    async def everyone(device: Device) -> Any:
        return await asyncio.gather(*(device.infer_async(row) for row in rows))

    with device_of(peer) as device:
        check(peer, rows, asyncio.run(everyone(device)), (GATES[0], None))


def test_a_tail_it_does_not_have_is_a_refusal(peer: Peer) -> None:
    rows = tiny_rows(5)
    with device_of(peer, placement=("cloud",) * 3) as device:
        answers = device.infer_batch(rows)
    assert {answer.degraded for answer in answers} == {"refused"}
    expected = local_chain(peer.cascade, rows, (0.0, None))
    assert [(answer.label, answer.exit) for answer in answers] == [row[:2] for row in expected]
