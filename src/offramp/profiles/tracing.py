"""Which operators a segment runs, and how long each takes, from ONNX Runtime's own profiler."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from offramp.cascade.segment import Segment, session_options
from offramp.profiles.operators import Operator

__all__ = ["trace_model", "trace_segment"]

_WARM_UPS = 3

Array = NDArray[Any]
Event = dict[str, Any]


def trace_segment(segment: Segment, tensors: Sequence[Array], runs: int = 1) -> tuple[Operator, ...]:
    """The operators of a segment for one row; see `trace_model`.

    Parameters
    ----------
    segment : loaded
    tensors : one row, in the order of ``segment.spec.inputs``
    runs : at least 1

    Examples
    --------
    >>> from offramp.cascade.store import open_cascade
    >>> cascade = open_cascade(getfixture("tiny_cascade"))
    >>> [op.type for op in trace_segment(cascade.segment(0), [np.zeros((1, 4), np.float32)])][:2]
    ['MatMul', 'Relu']
    """
    feed = dict(zip(segment.input_names, tensors, strict=True))
    return trace_model(segment.path, feed, segment.output_names, runs)


def trace_model(path: Path, feed: Mapping[str, Array], outputs: Sequence[str], runs: int = 1) -> tuple[Operator, ...]:
    """The operators of an ONNX model, with the mean seconds of the middle half of ``runs`` timings each.

    The profiler counts whole microseconds, so an operator of a few of them needs many runs.
    Weights that the runtime repacks have no shape in its profile; a second session that leaves them as they are
    is asked for the shapes.

    Parameters
    ----------
    path : of the ``.onnx`` file
    feed : its inputs by name
    outputs : names of what is asked for
    runs : at least 1
    """
    shown = _events(path, feed, outputs, 1, repack=False)
    timed = _events(path, feed, outputs, runs, repack=True)
    seconds: dict[str, list[float]] = defaultdict(list)
    for event in timed:
        seconds[event["name"]].append(event["dur"] * 1e-6)
    return tuple(_operator(event, seconds.get(event["name"], [0.0])) for event in shown)


def _events(path: Path, feed: Mapping[str, Array], outputs: Sequence[str], runs: int, repack: bool) -> list[Event]:
    """What the profiler wrote of every node and run, after some runs to warm up."""
    options = session_options()
    options.enable_profiling = True
    if not repack:
        options.add_session_config_entry("session.disable_prepacking", "1")
    with tempfile.TemporaryDirectory(prefix="offramp-") as folder:
        options.profile_file_prefix = str(Path(folder) / "trace")
        session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for _ in range(_WARM_UPS + runs):
            session.run(outputs, feed)
        events = json.loads(Path(session.end_profiling()).read_text())
    nodes = [event for event in events if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")]
    of_one_run = len(nodes) // (_WARM_UPS + runs)
    return nodes[-of_one_run * runs :] if of_one_run else []


def _operator(event: Event, seconds: Sequence[float]) -> Operator:
    arguments = event["args"]
    inputs, outputs = (_tensors(arguments[f"{side}_type_shape"]) for side in ("input", "output"))
    middle = np.sort(seconds)[len(seconds) // 4 : max(1, -(-3 * len(seconds) // 4))]
    return Operator(
        type=arguments["op_name"],
        integer=bool(inputs) and inputs[0][0] in ("uint8", "int8"),
        inputs=tuple(shape for _, shape in inputs),
        outputs=tuple(shape for _, shape in outputs),
        seconds=float(np.mean(middle)),
    )


def _tensors(listed: Sequence[dict[str, list[int]]]) -> list[tuple[str, tuple[int, ...]]]:
    return [(kind, tuple(shape)) for each in listed for kind, shape in each.items()]
