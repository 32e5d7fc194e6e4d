"""Recording every exit against bare ONNX Runtime in one loop, and what an exit saves in a batch.

Both run the same segments on the same rows, 64 at a time, one thread. The bare loop fetches hand-over
and logits and keeps nothing; ``collect`` also checks the rows, hashes the data, writes its parts and
the records file. With two processes, both sides start two fresh ones and stop them. The cascade is the
ResNet-8 of the CIFAR-10 example where it is at hand, else one of convolutions with random weights; the
images are random, which costs the same.
"""

from __future__ import annotations

import multiprocessing
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.synthetic import conv_cascade
from offramp.cascade.manifest import DataSpec
from offramp.cascade.segment import Segment, SegmentOutput
from offramp.cascade.store import Cascade, open_cascade
from offramp.cascade.walk import walk
from offramp.data.dataset import Dataset
from offramp.records.collect import collect_to_file

__all__ = ["run"]

RESNET8 = Path(__file__).parents[1] / "examples" / "cifar10" / "resnet8.cascade"
BATCH = 64


def run(quick: bool) -> list[dict[str, Any]]:
    """Recording with one and with two processes, and a batch of which three quarters leave at the first exit.

    Parameters
    ----------
    quick : few rows, once
    """
    rows, repeats = (2048, 1) if quick else (30720, 3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cascade = open_cascade(RESNET8) if RESNET8.is_dir() else conv_cascade(folder, (3, 6, 6))
        data = _images(cascade, rows)
        cascade = Cascade(cascade.path, cascade.manifest.model_copy(update={"data": _data_spec(data)}))
        segments = cascade.load_segments()

        def recorded(processes: int) -> None:
            collect_to_file(cascade, data, folder / "r.parquet", splits=["test"], batch=BATCH, processes=processes)

        bare, one, bare_two, two = _in_turns(
            [
                lambda: _bare(segments, data.inputs[0]),
                lambda: recorded(1),
                lambda: _bare_in_two_processes(cascade.path.resolve(), rows),
                lambda: recorded(2),
            ],
            repeats,
        )
        how = f"measured: median of {repeats} turns of {rows:,} rows, batch {BATCH}"
        return [
            _row("record, 1 process", bare, one, how, _rates(rows, bare, one)),
            _row(
                "record, 2 processes", bare_two, two, how, f"{_rates(rows, bare_two, two)}; both with their two starts"
            ),
            _exit_in_a_batch(cascade, segments, data.inputs[0], 4 if quick else 40),
        ]


def _rates(rows: int, bare: float, ours: float) -> str:
    return f"{rows / ours:,.0f} against {rows / bare:,.0f} rows/s; aim 1.11"


def _bare_in_two_processes(folder: Path, rows: int) -> None:
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_bare_process, [folder] * 2, [rows // 2] * 2))


def _bare_process(folder: Path, rows: int) -> None:
    cascade = open_cascade(folder)
    _bare(cascade.load_segments(), _images(cascade, rows).inputs[0])


def _exit_in_a_batch(
    cascade: Cascade, segments: tuple[Segment, ...], images: NDArray[np.uint8], repeats: int
) -> dict[str, Any]:
    batch = images[:BATCH]
    exits = [index if segment.spec.exit else None for index, segment in enumerate(segments)]
    temperatures = cascade.manifest.calibration.temperatures
    classes = len(cascade.manifest.labels)
    confidence = segments[0].run([batch]).confidence
    assert confidence is not None
    threshold = np.sort(confidence)[BATCH // 4]

    def stop_sure(exit_index: int, output: SegmentOutput) -> NDArray[np.bool_]:
        assert output.confidence is not None
        return output.confidence >= threshold if exit_index == 0 else np.zeros(len(output.confidence), bool)

    def stop_nobody(_: int, output: SegmentOutput) -> NDArray[np.bool_]:
        assert output.confidence is not None
        return np.zeros(len(output.confidence), bool)

    executed = walk(segments, exits, temperatures, [batch], stop_sure, classes).rows_executed
    everyone, survivors = _in_turns(
        [
            lambda: walk(segments, exits, temperatures, [batch], stop_nobody, classes),
            lambda: walk(segments, exits, temperatures, [batch], stop_sure, classes),
        ],
        repeats,
    )
    return _row(
        f"batch of {BATCH}, three quarters leave at the first exit",
        everyone,
        survivors,
        f"measured: median of {repeats} turns; rows each segment ran counted",
        f"rows run by each segment: {', '.join(str(count) for count in executed)}; baseline: all rows run all segments",
    )


def _bare(segments: tuple[Segment, ...], images: NDArray[np.uint8]) -> None:
    for first in range(0, len(images), BATCH):
        tensors: tuple[NDArray[Any], ...] = (images[first : first + BATCH],)
        for segment in segments:
            names = [tensor.name for tensor in segment.spec.outputs] + ["logits"]
            values = segment.session.run(names, dict(zip(segment.input_names, tensors, strict=True)))
            tensors = tuple(values[:-1])


def _images(cascade: Cascade, rows: int) -> Dataset:
    shape = [size or 1 for size in cascade.manifest.inputs[0].row_shape]
    images = np.random.default_rng(0).integers(0, 256, (rows, *shape), dtype=np.uint8)
    labels = np.arange(rows) % len(cascade.manifest.labels)
    return Dataset("random images", (images,), labels, cascade.manifest.labels, np.ones(rows, bool))


def _data_spec(data: Dataset) -> DataSpec:
    return DataSpec(name=data.name, sha256=data.sha256, split_seed=0, tune=0, calibrate=0, test=0)


def _in_turns(calls: list[Callable[[], object]], repeats: int) -> list[float]:
    """Median seconds of each call; the calls take turns, so that a slow minute hits them all."""
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(repeats):
        for call, taken in zip(calls, seconds, strict=True):
            begin = time.perf_counter()
            call()
            taken.append(time.perf_counter() - begin)
    return [statistics.median(taken) for taken in seconds]


def _row(name: str, baseline: float, ours: float, how: str, notes: str) -> dict[str, Any]:
    return {
        "name": name,
        "baseline": baseline,
        "ours": ours,
        "ratio": ours / baseline,
        "unit": "s",
        "how": how,
        "notes": notes,
    }
