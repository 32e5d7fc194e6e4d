"""What a device process takes: memory, and seconds from its start to its first answer, against bare ONNX Runtime.

Each run is a fresh process with a model of about 1 MB: one opens a cascade and a plan and asks a `Device` that answers
at its last exit; the other loads the same segments and runs them. Memory is the resident set after 100 answers.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.peers.resnet20 import resnet20
from benchmarks.row import BenchmarkRow
from benchmarks.synthetic import plan_for

__all__ = ["run"]

_DEVICE = """
import sys
import numpy as np
from pathlib import Path
from offramp import Device, Plan, open_cascade
from offramp.planning.plan import load_plan
with Device(open_cascade(Path(sys.argv[1])), load_plan(Path(sys.argv[2]))) as device:
    image = np.zeros((3, 32, 32), np.float32)
    device.infer(image)
    print("first", flush=True)
    for _ in range(99):
        device.infer(image)
    print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")))
"""
_BARE = """
import sys
import numpy as np
import onnxruntime as ort
options = ort.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
options.log_severity_level = 3
sessions = [ort.InferenceSession(path, options, providers=["CPUExecutionProvider"]) for path in sys.argv[1:]]
def answer(value):
    for session in sessions:
        names = [output.name for output in session.get_outputs()]
        values = session.run(names, {session.get_inputs()[0].name: value})
        value = values[0]
image = np.zeros((1, 3, 32, 32), np.float32)
answer(image)
print("first", flush=True)
for _ in range(99):
    answer(image)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")))
"""
MOST_BYTES, MOST_S = 150e6, 1.5


def run(quick: bool) -> list[BenchmarkRow]:
    """Two rows: resident bytes, and seconds to the first answer.

    Parameters
    ----------
    quick : three processes of each instead of fifteen
    """
    runs = 3 if quick else 15
    with tempfile.TemporaryDirectory() as folder:
        cascade = resnet20(Path(folder))
        plan_file = Path(folder) / "plan.json"
        plan_for(cascade, ("device",), ("device", "device"), None).save(plan_file)
        segments = [str(cascade.path / spec.file) for spec in cascade.manifest.segments]
        ours, bare = [], []
        for _ in range(runs):
            bare.append(_measure(_BARE, *segments))
            ours.append(_measure(_DEVICE, str(cascade.path), str(plan_file)))
        model_bytes = sum(spec.file_bytes for spec in cascade.manifest.segments)
    how = f"measured: medians of {runs} fresh processes each, in turn"
    said = f"ResNet-20, {model_bytes / 1e6:.1f} MB of ONNX; baseline: bare ONNX Runtime"
    return [
        _row("memory of a device process", bare, ours, lambda one: one[1], "B", how, f"{said}; at most 150 MB"),
        _row("start to first answer", bare, ours, lambda one: one[0], "s", how, f"{said}; at most {MOST_S} s"),
    ]


def _row(
    name: str,
    bare: list[tuple[float, int]],
    ours: list[tuple[float, int]],
    part: Callable[[tuple[float, int]], float],
    unit: str,
    how: str,
    notes: str,
) -> BenchmarkRow:
    baseline, mine = statistics.median(map(part, bare)), statistics.median(map(part, ours))
    return BenchmarkRow(name, baseline, mine, mine / baseline, unit, how, notes)


def _measure(code: str, *arguments: str) -> tuple[float, int]:
    """Seconds to the first answer, and resident bytes."""
    begin_s = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        seconds = time.perf_counter() - begin_s
        rest = process.stdout.read()
    if first != "first\n" or process.returncode:
        raise RuntimeError(f"the process ended with {process.returncode}: {json.dumps(first + rest)}")
    return seconds, int(rest) * 1024
