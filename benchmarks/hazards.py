"""How late the device answers at worst while what lies beyond it fails, against the deadline plus 10 ms.

Device, cloud and, where the link is the hazard, a relay are processes of their own; every sample goes on from
the device's first exit. A third of the way through, the hazard strikes; two thirds through, it ends, where it
ends. One sample is asked every 5 ms, or when the one before is answered if that takes longer. A hung cloud is measured
with the breaker and with one that never opens, where every sample waits for its deadline.
"""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.synthetic import conv_cascade, image, plan_for
from offramp.cascade.store import Cascade
from offramp.planning.plan import Plan
from offramp.runtime.answer import Answer
from offramp.runtime.device import Device
from offramp.runtime.process import ReadyProcess
from offramp.runtime.tolerance import FaultTolerance

__all__ = ["run"]

DEADLINES_S = (0.02, 0.05, 0.1)
SLACK_S = 0.01
EVERY_S = 0.005
PATIENT = FaultTolerance(breaker_failures=1_000_000_000)


class World:
    """A cloud behind a relay, and what may happen to them."""

    def __init__(self, cascade: Cascade, plan_file: Path) -> None:
        self._arguments = ["--cascade", str(cascade.path), "--tier", "cloud", "--plan", str(plan_file)]
        self.processes: list[ReadyProcess] = []
        self.cloud = self.start_cloud(0)

    def start_cloud(self, port: int) -> ReadyProcess:
        """A cloud, ready."""
        return self._ready("offramp.runtime.server", [*self._arguments, "--listen", f"127.0.0.1:{port}"])

    def start_relay(self, bandwidth_bps: float, trace: Path | None = None) -> str:
        """A link to the cloud; its address."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        route = f"127.0.0.1:{port},{self.address},{bandwidth_bps},0.002" + ("" if trace is None else f",{trace}")
        self._ready("offramp.links.relay_process", ["--route", route])
        return f"127.0.0.1:{port}"

    @property
    def address(self) -> str:
        """Where the cloud listens."""
        return f"127.0.0.1:{self.cloud.ready['port']}"

    def _ready(self, module: str, arguments: list[str]) -> ReadyProcess:
        process = ReadyProcess(module, arguments, module)
        self.processes.append(process)
        process.wait_ready()
        return process

    def close(self) -> None:
        """End them all."""
        for process in reversed(self.processes):
            if process.exit_code is None:
                os.kill(process.pid, signal.SIGCONT)
            process.close()


Step = Callable[[], None]
Hazard = tuple[list[str], Step, Step, FaultTolerance | None]


def _nothing() -> None:
    """It goes on by itself."""


def _signals(process: ReadyProcess) -> tuple[Step, Step]:
    return lambda: os.kill(process.pid, signal.SIGSTOP), lambda: os.kill(process.pid, signal.SIGCONT)


def _all_well(world: World, folder: Path) -> Hazard:
    return [world.address], _nothing, _nothing, None


def _cloud_killed(world: World, folder: Path) -> Hazard:
    port = int(world.cloud.ready["port"])
    return [world.address], world.cloud.kill, lambda: setattr(world, "cloud", world.start_cloud(port)), None


def _one_of_two_killed(world: World, folder: Path) -> Hazard:
    second = world.start_cloud(0)
    return [world.address, f"127.0.0.1:{second.ready['port']}"], world.cloud.kill, _nothing, None


def _cloud_hung(world: World, folder: Path) -> Hazard:
    return [world.address], *_signals(world.cloud), None


def _cloud_hung_all_wait(world: World, folder: Path) -> Hazard:
    return [world.address], *_signals(world.cloud), PATIENT


def _link_silent(world: World, folder: Path) -> Hazard:
    address = world.start_relay(100e6)
    return [address], *_signals(world.processes[-1]), None


def _link_slow(world: World, folder: Path) -> Hazard:
    trace = folder / "slow.csv"
    trace.write_text("time_s,bandwidth_bps\n0,100e6\n2,1e6\n")
    return [world.start_relay(100e6, trace)], _nothing, _nothing, None


def _link_flapping(world: World, folder: Path) -> Hazard:
    trace = folder / "flapping.csv"
    steps = [f"{second},100e6\n{second}.6,0" for second in range(600)]
    trace.write_text("time_s,bandwidth_bps\n" + "\n".join(steps) + "\n600,100e6\n")
    return [world.start_relay(100e6, trace)], _nothing, _nothing, None


HAZARDS: dict[str, Callable[[World, Path], Hazard]] = {
    "all well": _all_well,
    "cloud killed, then back": _cloud_killed,
    "one of two clouds killed": _one_of_two_killed,
    "cloud hung, then not": _cloud_hung,
    "cloud hung, every sample waits": _cloud_hung_all_wait,
    "link silent, then not": _link_silent,
    "link slow": _link_slow,
    "link flapping": _link_flapping,
}


def run(quick: bool) -> list[dict[str, Any]]:
    """One row for each hazard and deadline: the 99.9th percentile of the latency.

    Parameters
    ----------
    quick : one deadline, and a fifth of the samples
    """
    samples = 300 if quick else 1500
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cascade = conv_cascade(folder, (1, 1, 1))
        plan = plan_for(cascade, ("device", "cloud"), ("device", "cloud", "cloud"), threshold=None)
        plan.save(folder / "plan.json")
        return [
            _measure(hazard, deadline_s, cascade, plan, folder, samples)
            for hazard in HAZARDS
            for deadline_s in (DEADLINES_S[1:2] if quick else DEADLINES_S)
        ]


def _measure(
    hazard: str, deadline_s: float, cascade: Cascade, plan: Plan, folder: Path, samples: int
) -> dict[str, Any]:
    with (
        _struck(hazard, cascade, folder) as (addresses, begin, end, tolerance),
        Device(cascade, plan, addresses, deadline_s=deadline_s, tolerance=tolerance) as device,
    ):
        answers = list(_ask(device, image(cascade), samples, {samples // 3: begin, 2 * samples // 3: end}))
    latency_s = np.array([answer.latency_s for answer in answers])
    reasons = Counter(answer.degraded or "as planned" for answer in answers)
    ours_s, limit_s = float(np.quantile(latency_s, 0.999)), deadline_s + SLACK_S
    found = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    return {
        "name": f"{hazard}, {deadline_s * 1e3:.0f} ms",
        "baseline": limit_s,
        "ours": ours_s,
        "ratio": ours_s / limit_s,
        "unit": "s",
        "how": f"measured: 99.9th percentile of {samples} samples; baseline: the deadline plus 10 ms",
        "notes": f"all {len(answers)} answered: {found}; p50 {np.median(latency_s) * 1e3:.2f} ms, "
        f"latest {latency_s.max() * 1e3:.1f} ms; aim 1.00",
    }


@contextmanager
def _struck(hazard: str, cascade: Cascade, folder: Path) -> Iterator[Hazard]:
    world = World(cascade, folder / "plan.json")
    try:
        yield HAZARDS[hazard](world, folder)
    finally:
        world.close()


def _ask(device: Device, sample: Any, samples: int, steps: dict[int, Step]) -> Iterator[Answer]:
    due_s = time.perf_counter()
    for index in range(samples):
        if index in steps:
            steps[index]()
        yield device.infer(sample)
        due_s = max(due_s + EVERY_S, time.perf_counter())
        time.sleep(max(0.0, due_s - time.perf_counter()))
