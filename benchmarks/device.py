"""``Device.infer`` ending at the first exit, against a bare ONNX Runtime ``run`` of the same segment.

Batch 1, the same outputs fetched, one thread, both in this process: blocks of calls take turns, and
the medians of the single calls are compared. The small segment is the first of the CIFAR-10 ResNet-8
cascade where that is at hand, else three 3x3 convolutions of about the same time.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.synthetic import conv_cascade, image, plan_for
from offramp.cascade.segment import TEMPERATURE
from offramp.cascade.store import Cascade, open_cascade
from offramp.runtime.device import Device

__all__ = ["run"]

RESNET8 = Path(__file__).parents[1] / "examples" / "cifar10" / "resnet8.cascade"


def run(quick: bool) -> list[dict[str, Any]]:
    """Two rows: a segment of about 0.1 ms and one of about 1 ms.

    Parameters
    ----------
    quick : a tenth of the calls
    """
    blocks = 4 if quick else 40
    with tempfile.TemporaryDirectory() as folder:
        real = RESNET8.is_dir()
        small = open_cascade(RESNET8) if real else conv_cascade(Path(folder) / "small", (3, 1))
        large = conv_cascade(Path(folder) / "large", (30, 1))
        return [
            _compare("first exit, ResNet-8" if real else "first exit, 0.1 ms segment", small, blocks, 100, 1.10),
            _compare("first exit, 1 ms segment", large, blocks, 20, 1.02),
        ]


def _compare(name: str, cascade: Cascade, blocks: int, calls: int, aim: float) -> dict[str, Any]:
    sample = image(cascade)
    plan = plan_for(cascade, ("device",), ("device",) * len(cascade.manifest.segments), threshold=0.0)
    segment = cascade.segment(0)
    feed = {segment.input_names[0]: sample[None], TEMPERATURE: np.array(1.0, np.float32)}
    outputs, session = segment.output_names, segment.session

    with Device(cascade, plan) as device:
        ours: list[float] = []
        bare: list[float] = []
        for _ in range(blocks):
            _time_calls(lambda: session.run(outputs, feed), calls, bare)
            _time_calls(lambda: device.infer(sample), calls, ours)
    baseline_s, ours_s = statistics.median(bare), statistics.median(ours)
    return {
        "name": name,
        "baseline": baseline_s,
        "ours": ours_s,
        "ratio": ours_s / baseline_s,
        "unit": "s",
        "how": f"measured: medians of {blocks * calls} calls each, in {blocks} alternating blocks",
        "notes": f"baseline: session.run of the same outputs; {(ours_s - baseline_s) * 1e6:.1f} us more; aim {aim:.2f}",
    }


def _time_calls(call: Callable[[], object], calls: int, seconds: list[float]) -> None:
    clock = time.perf_counter
    for _ in range(calls):
        begin = clock()
        call()
        seconds.append(clock() - begin)
