"""Hours at half load: are all answers there and right, and do memory and open files stay as they are?

A device (this process), an edge and a cloud as processes; half of the samples leave at the device, the others go on.
Half of what the chain can do is asked at a steady rate, up to 32 under way. Every answer is compared with that of the
same segments run one after the other. Resident memory and open files of each process are looked at 200 times; the first
fifth of the time counts as warming up. ``--minutes N`` says how long (60).
"""

from __future__ import annotations

import itertools
import os
import statistics
import tempfile
import time
from collections import Counter, deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.row import BenchmarkRow
from benchmarks.synthetic import conv_cascade, plan_for
from offramp.cascade.store import Cascade
from offramp.links.network import Link, Network, Tier
from offramp.runtime.answer import Answer
from offramp.runtime.device import Device
from offramp.runtime.local import LocalCluster

__all__ = ["run"]

#: it takes an hour: not one of all
BY_NAME = True

SAMPLES = 64
TIERS = ("device", "edge", "cloud")
#: share of the time that is warming up, and of the rest that is compared, at its begin and at its end
WARM, COMPARED = 0.2, 0.25
MOST_GROWTH = 0.02


@dataclass
class _Seen:
    """What is seen of one process: resident bytes and open files, from look to look."""

    pid: int
    resident: list[int] = field(default_factory=list)
    files: list[int] = field(default_factory=list)

    def look(self) -> None:
        with open(f"/proc/{self.pid}/statm") as file:
            self.resident.append(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
        self.files.append(len(os.listdir(f"/proc/{self.pid}/fd")))


def run(quick: bool, minutes: float = 60.0) -> list[BenchmarkRow]:
    """Answers over samples, and memory and open files at the end over those at the begin, of each process.

    Parameters
    ----------
    quick : some seconds
    minutes : how long otherwise
    """
    seconds = 8.0 if quick else 60 * minutes
    with tempfile.TemporaryDirectory() as folder:
        cascade = conv_cascade(Path(folder), (3, 6, 12))
        images = np.random.default_rng(5).integers(0, 256, (SAMPLES, 3, 32, 32), dtype=np.uint8)
        threshold, expected = _expected(cascade, images)
        plan = plan_for(cascade, TIERS, TIERS, threshold)
        plan_file = Path(folder) / "plan.json"
        plan.save(plan_file)
        network = Network(tuple(map(Tier, TIERS)), (Link("device", "edge", 1e9), Link("edge", "cloud", 1e9)))
        with (
            LocalCluster(cascade.path, [plan_file], network, shaped=False) as cluster,
            Device(cascade, plan, cluster.upstream_address, deadline_s=10.0, max_in_flight=32) as device,
        ):
            capacity = _capacity(device, images)
            seen = {"device": _Seen(os.getpid()), **{name: _Seen(pid) for name, pid in cluster.pids.items()}}
            asked, outcomes, worst_s = _soak(device, images, expected, capacity / 2, seconds, seen)
    how = f"measured: {seconds / 60:.3g} minutes at {capacity / 2:.0f} samples/s, half of {capacity:.0f}"
    return [
        BenchmarkRow(
            "answers that are right and not degraded",
            asked,
            outcomes["right"],
            outcomes["right"] / asked,
            "samples",
            how,
            "; ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
            + f"; slowest {worst_s * 1e3:.0f} ms; none may be lost or wrong",
        ),
        *itertools.chain.from_iterable(_rows(name, one, how) for name, one in seen.items()),
    ]


def _expected(cascade: Cascade, images: np.ndarray[Any, np.dtype[np.uint8]]) -> tuple[float, list[tuple[int, int]]]:
    """A threshold that half of the images reach at the first exit, and label and exit of each."""
    segments = cascade.load_segments()
    outputs = []
    tensors: tuple[np.ndarray[Any, Any], ...] = (images,)
    for segment in segments:
        outputs.append(segment.run(tensors))
        tensors = outputs[-1].hand_over
    confidence = np.stack([output.confidence for output in outputs if output.confidence is not None])
    labels = np.stack([output.label for output in outputs if output.label is not None])
    ordered = np.sort(confidence[0])
    threshold = float(ordered[SAMPLES // 2 - 1 : SAMPLES // 2 + 1].mean())
    leaves = confidence >= threshold
    leaves[-1] = True
    exits = leaves.argmax(axis=0)
    return threshold, [(int(labels[exit_index, row]), int(exit_index)) for row, exit_index in enumerate(exits)]


def _capacity(device: Device, images: np.ndarray[Any, np.dtype[np.uint8]]) -> float:
    """Samples per second with as many under way as there may be."""
    for _ in device.infer_many(images):
        pass
    begin_s, count = time.perf_counter(), 0
    while time.perf_counter() - begin_s < 2.0:
        count += sum(1 for _ in device.infer_many(images))
    return count / (time.perf_counter() - begin_s)


def _soak(
    device: Device,
    images: np.ndarray[Any, np.dtype[np.uint8]],
    expected: list[tuple[int, int]],
    rate: float,
    seconds: float,
    seen: dict[str, _Seen],
) -> tuple[int, Counter[str], float]:
    """Samples asked, what became of them, and the slowest answer's seconds."""
    outcomes: Counter[str] = Counter()
    waiting: deque[tuple[int, Future[Answer]]] = deque()
    begin_s = next_look_s = time.perf_counter()
    asked, worst_s = 0, 0.0
    look_s = seconds / 200
    while (now_s := time.perf_counter()) - begin_s < seconds:
        if now_s >= next_look_s:
            next_look_s += look_s
            if now_s - begin_s >= WARM * seconds:
                for one in seen.values():
                    one.look()
        while asked < (now_s - begin_s) * rate:
            waiting.append((asked % SAMPLES, device.submit(images[asked % SAMPLES])))
            asked += 1
        while waiting and waiting[0][1].done():
            worst_s = max(worst_s, _count(*waiting.popleft(), expected, outcomes))
        time.sleep(0.002)
    for row, future in waiting:
        worst_s = max(worst_s, _count(row, future, expected, outcomes))
    return asked, outcomes, worst_s


def _count(row: int, future: Future[Answer], expected: list[tuple[int, int]], outcomes: Counter[str]) -> float:
    try:
        answer = future.result(30)
    except Exception as error:  # whatever it is, an answer was lost by it
        outcomes[f"lost ({type(error).__name__})"] += 1
        return 0.0
    if answer.degraded is not None:
        outcomes[f"degraded ({answer.degraded})"] += 1
    else:
        outcomes["right" if (answer.label, answer.exit) == expected[row] else "wrong"] += 1
    return answer.latency_s


def _rows(name: str, one: _Seen, how: str) -> list[BenchmarkRow]:
    part = max(1, int(COMPARED * len(one.resident)))
    first, last = statistics.median(one.resident[:part]), statistics.median(one.resident[-part:])
    files, files_last = statistics.median(one.files[:part]), statistics.median(one.files[-part:])
    most = f"medians of the first and the last quarter after warming up; must grow by less than {MOST_GROWTH:.0%}"
    return [
        BenchmarkRow(f"memory of the {name}", first, last, last / first, "B", how, most),
        BenchmarkRow(f"open files of the {name}", files, files_last, files_last / files, "files", how, "must not grow"),
    ]
