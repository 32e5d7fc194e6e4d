"""A three-tier world of real processes."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.store import Cascade
from offramp.links.network import Link, Network, Tier
from offramp.planning.plan import Plan
from offramp.runtime.answer import DEGRADED_REASONS, Answer
from offramp.runtime.process import ReadyProcess
from tests.runtime.support import local_chain, plan_of
from tests.support.tiny import make_tiny_cascade

GATES = (0.6, 0.8)
EACH = ("device", "edge", "cloud")


@dataclass(frozen=True)
class World:
    """A cascade with one segment per tier, its plan, and links quick enough for tests."""

    cascade: Cascade
    plan: Plan
    plan_file: Path
    network: Network


def make_world(folder: Path, placement: tuple[str, ...] = EACH, cloud_slow_down: float = 1.0) -> World:
    """Everything on disk that processes need."""
    cascade = make_tiny_cascade(folder, segments=3)
    plan = plan_of(cascade, placement, GATES)
    plan.save(folder / "plan.json")
    network = Network(
        (Tier("device"), Tier("edge"), Tier("cloud", slow_down=cloud_slow_down)),
        (Link("device", "edge", 5e6, 0.004), Link("edge", "cloud", 50e6, 0.008)),
    )
    return World(cascade, plan, folder / "plan.json", network)


def free_port() -> int:
    """A port nobody listens on right now, for a server that is to come back where it was."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def start_server(world: World, tier: str, *extra: str, port: int = 0) -> ReadyProcess:
    """A tier's process, ready."""
    arguments = ["--cascade", str(world.cascade.path), "--tier", tier, "--plan", str(world.plan_file)]
    server = ReadyProcess(
        "offramp.runtime.server", [*arguments, "--listen", f"127.0.0.1:{port}", *extra], f"tier {tier!r}"
    )
    server.wait_ready()
    return server


def address_of(server: ReadyProcess) -> str:
    """Where it listens."""
    return f"127.0.0.1:{server.ready['port']}"


def until(condition: Callable[[], bool], timeout_s: float = 20.0) -> None:
    """Wait until something holds."""
    end_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < end_s, "waited too long"
        time.sleep(0.02)


def check_answers(world: World, rows: NDArray[Any], answers: Sequence[Answer]) -> None:
    """One answer for each row, in order, and of that row: as planned, or degraded and from no later exit."""
    assert len(answers) == len(rows)
    planned = local_chain(world.cascade, rows, GATES)
    at_exit = [local_chain(world.cascade, rows, gates) for gates in ((0.0, 0.0), (None, 0.0), (None, None))]
    for index, (answer, (_, exit_index, _)) in enumerate(zip(answers, planned, strict=True)):
        label, _, probabilities = at_exit[answer.exit][index]
        assert answer.label == label
        np.testing.assert_allclose(answer.probabilities, probabilities, atol=1e-6)
        if answer.degraded is None:
            assert answer.exit == exit_index
        else:
            assert answer.degraded in DEGRADED_REASONS
            assert answer.exit <= exit_index


def running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
