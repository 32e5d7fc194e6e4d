"""A three-tier world of real processes."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from offramp.cascade.store import Cascade
from offramp.links.network import Link, Network, Tier
from offramp.planning.plan import Plan
from tests.runtime.support import plan_of
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


def running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        os.kill(pid, 0)
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False
