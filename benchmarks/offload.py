"""One offload over unshaped loopback, against a bare gRPC stream echo of the same bytes plus the bare compute.

The device computes nothing: the sample goes to a server process, which runs the whole cascade. The
baseline is a grpc.aio stream that sends the same bytes back from a process of its own, plus a bare
ONNX Runtime run of the same segments in this one. Blocks take turns; medians are added up.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import grpc.aio
import numpy as np

from benchmarks.echo_server import METHOD
from benchmarks.synthetic import conv_cascade, image, plan_for
from offramp.cascade.segment import TEMPERATURE
from offramp.cascade.store import Cascade
from offramp.links.network import Link, Network, Tier
from offramp.runtime.device import Device
from offramp.runtime.local import LocalCluster
from offramp.runtime.loop import run_in_background
from offramp.runtime.process import ReadyProcess

__all__ = ["run"]


def run(quick: bool) -> list[dict[str, Any]]:
    """Two rows: a cascade of about 0.2 ms and one of about 1 ms.

    Parameters
    ----------
    quick : a tenth of the calls
    """
    blocks = 3 if quick else 30
    with tempfile.TemporaryDirectory() as folder:
        small = conv_cascade(Path(folder) / "small", (4,))
        large = conv_cascade(Path(folder) / "large", (30,))
        return [
            _compare("offload, 0.2 ms of compute", small, blocks),
            _compare("offload, 1 ms of compute", large, blocks),
        ]


def _compare(name: str, cascade: Cascade, blocks: int, calls: int = 50) -> dict[str, Any]:
    sample = image(cascade)
    plan = plan_for(cascade, ("device", "server"), ("server",), threshold=None)
    network = Network((Tier("device"), Tier("server")), (Link("device", "server", 1e9),))
    plan_file = cascade.path.parent / "plan.json"
    plan.save(plan_file)
    echo_server = ReadyProcess("benchmarks.echo_server", [], "the echo")
    ours: list[float] = []
    echo: list[float] = []
    bare: list[float] = []
    try:
        port = echo_server.wait_ready()["port"]
        with (
            LocalCluster(cascade.path, [plan_file], network, shaped=False) as cluster,
            Device(cascade, plan, cluster.upstream_address) as device,
        ):
            sent = device.infer(sample).sent_bytes
            for _ in range(blocks):
                run_in_background(_echo(port, b"x" * sent, calls, echo))
                _compute(cascade, sample, calls, bare)
                device.infer(sample)
                for _ in range(calls):
                    answer = device.infer(sample)
                    if answer.degraded:
                        raise RuntimeError(f"the server did not answer: {answer.degraded}")
                    ours.append(answer.latency_s)
    finally:
        echo_server.close()
    echo_s, bare_s, ours_s = (statistics.median(times) for times in (echo, bare, ours))
    return {
        "name": name,
        "baseline": echo_s + bare_s,
        "ours": ours_s,
        "ratio": ours_s / (echo_s + bare_s),
        "unit": "s",
        "how": f"measured: medians of {blocks * calls} calls each, in {blocks} alternating blocks",
        "notes": f"baseline: echo of {sent} bytes {echo_s * 1e6:.0f} us + compute {bare_s * 1e6:.0f} us; aim 1.30",
    }


async def _echo(port: int, message: bytes, calls: int, seconds: list[float]) -> None:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call: Any = channel.stream_stream(METHOD, None, None)(None)
        for index in range(calls + 10):
            begin = time.perf_counter()
            await call.write(message)
            await call.read()
            if index >= 10:
                seconds.append(time.perf_counter() - begin)
        await call.done_writing()


def _compute(cascade: Cascade, sample: np.ndarray[Any, Any], calls: int, seconds: list[float]) -> None:
    segment = cascade.segment(0)
    feed = {segment.input_names[0]: sample[None], TEMPERATURE: np.array(1.0, np.float32)}
    for index in range(calls + 10):
        begin = time.perf_counter()
        segment.session.run(segment.output_names, feed)
        if index >= 10:
            seconds.append(time.perf_counter() - begin)
