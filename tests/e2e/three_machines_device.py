"""An application on the device: asks sample after sample until it is told to end, and writes down what it was answered.

``python -m tests.e2e.three_machines_device FOLDER SAMPLES STOP OUTPUT``
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import numpy as np

import offramp as ot
from offramp.planning.plan import load_plan
from offramp.runtime.access import Access

__all__ = ["main"]


def main(folder: Path, samples: Path, stop: Path, output: Path) -> None:
    """Ask until the file ``stop`` is there."""
    network = ot.load_network(folder / "network.toml")
    access = Access.between(network, "device", "edge")
    rows = np.load(samples)["inputs"]
    answers: list[tuple[int, int, int, str, str | None]] = []
    addresses = network.tier("edge").addresses
    plan = load_plan(folder / "plan.json")
    with ot.Device(ot.open_cascade(folder / "net.cascade"), plan, addresses, access=access, deadline_s=10.0) as device:
        while not stop.exists():
            row = len(answers) % len(rows)
            answer = device.infer(rows[row])
            answers.append((row, answer.label, answer.exit, answer.tier, answer.degraded))
            time.sleep(0.005)
    output.write_text(json.dumps(answers))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
