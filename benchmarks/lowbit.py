"""The edge part of a hybrid network in fp32, int8, 4 bits and 1 bit: time, bytes on disk, memory.

ResNet-20 up to ``stack3.0`` with a ``pool-linear`` exit, batch 1, one thread. Four and one bit in ONNX Runtime
compute whole numbers in float32, because it has no narrower convolution on a processor; the packed kernel counts
mismatching bits. All take turns, ten images at a time, so that a busy machine slows all.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.lowbit_nets import conv_cascade, edge_part, random_images
from offramp.cascade.kernels.binary_conv import BinaryConv
from offramp.cascade.kernels.compiling import LEVELS, kernels, why_not
from offramp.cascade.segment import Segment

__all__ = ["run"]

#: channels and side of the maps of the three stacks
LAYERS = ((16, 32), (32, 16), (64, 8))
#: convolutions one behind the other, so that calling costs little beside them
REPEATED = 8
#: timed runs before the next one's turn
IN_TURN = 10

_RSS = """
import sys, numpy as np
from offramp.cascade.store import open_cascade
from offramp.cascade.kernels import compiling, segment
def rss(): return int(next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1]) * 1024
cascade = open_cascade(sys.argv[1])
before = rss()
part = cascade.segment(0, precision=sys.argv[2], kernels=sys.argv[3] == "yes")
for _ in range(20): part.run([np.zeros((1, 32, 32, 3), np.uint8)])
print(rss() - before)
"""


def run(quick: bool) -> list[dict[str, Any]]:
    """Rows of the edge part (seconds, bytes on disk, resident bytes) and of single layers (seconds).

    Parameters
    ----------
    quick : few repeats
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with tempfile.TemporaryDirectory() as folder:
            return [*_edge(Path(folder), 2 if quick else 40), *_layers(Path(folder), 2 if quick else 40)]
    finally:
        torch.set_num_threads(before)


def _edge(folder: Path, turns: int) -> list[dict[str, Any]]:
    plain, four, one = (edge_part(folder, bits) for bits in (0, 4, 1))
    image = random_images(1).numpy()
    segments = {
        "fp32": plain.segment(0),
        "int8": plain.segment(0, precision="int8"),
        "4-bit in ONNX Runtime": four.segment(0),
        "1-bit in ONNX Runtime": one.segment(0, kernels=False),
    }
    files = {name: segment.path for name, segment in segments.items()}
    notes = dict.fromkeys(segments, "")
    if reason := why_not():
        notes["fp32"] = f"no row of the packed kernel: {reason}"
    else:
        segments["1-bit packed kernel"] = one.segment(0)
        notes["1-bit packed kernel"] = f"{LEVELS[kernels().level]}; its exit in ONNX Runtime"
        low_bit = one.manifest.segments[0].low_bit
        assert low_bit is not None
        assert low_bit.kernel is not None
        files["1-bit packed kernel"] = one.path / low_bit.kernel.file
    jobs = {name: _job(each, image) for name, each in segments.items()}
    seconds = _take_turns(jobs, turns)
    how = f"measured: medians of {turns * IN_TURN} runs each, taking turns, batch 1, one thread"
    rows = [_row(f"edge part, {name}", seconds["fp32"], seconds[name], "s", how, notes[name]) for name in jobs]
    disk = {name: float(file.stat().st_size) for name, file in files.items()}
    rows += [_row(f"bytes on disk, {name}", disk["fp32"], disk[name], "B", "counted") for name in files]
    memory = {
        name: _resident_bytes(path.parent, "int8" if name == "int8" else "fp32", name == "1-bit packed kernel")
        for name, path in files.items()
    }
    how = "measured: resident memory of a fresh process, after loading and 20 runs less before"
    return rows + [_row(f"resident memory, {name}", memory["fp32"], memory[name], "B", how) for name in files]


def _layers(folder: Path, turns: int) -> list[dict[str, Any]]:
    """Single convolutions: a stack of equal ones, divided by their number."""
    rows = []
    for channels, size in LAYERS:
        fp32, int8 = conv_cascade(folder, channels, size, REPEATED)
        x = np.random.default_rng(0).standard_normal((1, channels, size, size)).astype(np.float32)
        jobs = {"fp32": _job(fp32, x), "int8": _job(int8, x)}
        if not why_not():
            jobs["1-bit packed kernel"] = _binary_job(channels, x)
        seconds = _take_turns(jobs, turns)
        macs = 9 * channels**2 * size**2
        for name in ("int8", "1-bit packed kernel")[: len(jobs) - 1]:
            rate, plain_rate = (macs * REPEATED / seconds[which] / 1e9 for which in (name, "fp32"))
            rows.append(
                _row(
                    f"3 x 3 convolution, {channels} channels, {size} x {size}, {name}",
                    seconds["fp32"] / REPEATED,
                    seconds[name] / REPEATED,
                    "s",
                    f"measured: medians of {turns * IN_TURN} runs of {REPEATED} such layers, taking turns",
                    f"{rate:.0f} G multiply-accumulates a second; baseline: fp32 in ONNX Runtime, {plain_rate:.0f} G",
                )
            )
    return rows


def _binary_job(channels: int, x: np.ndarray[Any, np.dtype[np.float32]]) -> Callable[[], object]:
    """The same number of binary layers, with thresholds and norms; maps in the order height, width, channels."""
    random = np.random.default_rng(0)
    weight = random.choice(np.array([-1, 1], np.float32), (channels, channels, 3, 3))
    zeros, ones = np.zeros(channels, np.float32), np.full(channels, 0.1, np.float32)
    layers = [BinaryConv(weight, zeros, ones, ones, zeros, leak=0.25) for _ in range(REPEATED)]
    begin = np.ascontiguousarray(x[0].transpose(1, 2, 0))

    def run_all() -> object:
        value = begin
        for layer in layers:
            value = layer(value)
        return value

    return run_all


def _job(segment: Segment, rows: np.ndarray[Any, Any]) -> Callable[[], object]:
    return lambda: segment.run([rows])


def _take_turns(jobs: dict[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """Median seconds of single runs; a turn is ``IN_TURN`` runs behind two that warm the caches."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(turns):
        for name, job in jobs.items():
            for repeat in range(IN_TURN + 2):
                begin = time.perf_counter()
                job()
                if repeat >= 2:
                    seconds[name].append(time.perf_counter() - begin)
    return {name: float(np.median(found)) for name, found in seconds.items()}


def _resident_bytes(cascade: Path, precision: str, packed: bool) -> float:
    command = [sys.executable, "-c", _RSS, str(cascade), precision, "yes" if packed else "no"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(done.stdout)


def _row(name: str, baseline: float, ours: float, unit: str, how: str, notes: str = "") -> dict[str, Any]:
    return {
        "name": name,
        "baseline": baseline,
        "ours": ours,
        "ratio": ours / baseline,
        "unit": unit,
        "how": how,
        "notes": notes or "baseline: fp32 in ONNX Runtime",
    }
