"""Measuring what one offload costs beside payload and link."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np

from offramp.cascade.manifest import Manifest, TensorSpec
from offramp.cascade.store import Cascade, open_cascade
from offramp.links.network import Link, Network, Tier
from offramp.planning.plan import GateSpec, Plan
from offramp.profiles.profile import TransportCost
from offramp.runtime.device import Array, Device
from offramp.runtime.local import LocalCluster
from offramp.runtime.requests import build_request
from offramp.runtime.responses import build_response
from offramp.runtime.rows import Rows
from offramp.runtime.tensors import codec_named

__all__ = ["measure_transport", "remote_plan"]

#: bytes gRPC and HTTP/2 add to a message: its prefix (5), a DATA header (9), a WINDOW_UPDATE for the
#: other direction (13). An estimate: frames are merged and split as the connection goes.
FRAMING_BYTES = 27
#: first rows that do not count
WARM_ROWS = 10
#: seconds between two requests: processes that have waited find cold caches, and waiting is what they mostly do
PAUSE_S = 0.01
#: bits per second of the relay a request may go through
RELAY_BPS = 1e9


def measure_transport(
    cascade: str | Path, rows: int = 100, seed: int = 0, *, pause_s: float = PAUSE_S, through_relay: bool = False
) -> TransportCost:
    """Ask a real server process on loopback for random rows, one after the other, each after a pause.

    ``hop_s`` is the median of latency less the compute the server reports: protocol work on both
    sides, there and back. Without the pause it comes out two to three times smaller than what a lone
    sample pays, whose tiers have waited for it. Bytes are those of the serialised messages without the
    tensors' own, plus an estimate of 27 for HTTP/2 and gRPC framing each way.

    Parameters
    ----------
    cascade : the folder ``NAME.cascade``
    rows : so many requests
    seed : of the random rows
    pause_s : seconds before each request
    through_relay : over a link that a relay imitates, as in a `LocalCluster`, so that its work counts too

    Raises
    ------
    OfframpError : the server did not start
    """
    opened = open_cascade(cascade)
    plan = remote_plan(opened)
    generator = np.random.default_rng(seed)
    network = Network((Tier("client"), Tier("server")), (Link("client", "server", RELAY_BPS),))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plan.json"
        plan.save(file)
        with (
            LocalCluster(cascade, [file], network, shaped=through_relay) as cluster,
            Device(opened, plan, cluster.upstream_address) as device,
        ):
            hops_s = []
            for row in range(rows + WARM_ROWS):
                time.sleep(pause_s)
                answer = device.infer([_random_row(spec, generator) for spec in opened.manifest.inputs])
                if row >= WARM_ROWS and not answer.degraded and answer.compute_s is not None:
                    hops_s.append(answer.latency_s - answer.compute_s["server"])
    request, response = _overheads(opened.manifest, plan)
    return TransportCost(
        hop_s=max(0.0, median(hops_s)),
        request_overhead_bytes=request + FRAMING_BYTES,
        answer_bytes=response + FRAMING_BYTES,
    )


def remote_plan(cascade: Cascade) -> Plan:
    """A plan that runs every segment on ``server`` and leaves by the last exit only."""
    manifest = cascade.manifest
    return Plan(
        cascade=manifest.name,
        cascade_fingerprint=manifest.fingerprint,
        tiers=("client", "server"),
        placement=("server",) * len(manifest.segments),
        gates=(GateSpec(threshold=None),) * (len(manifest.exit_segments) - 1),
        temperatures=manifest.calibration.temperatures,
        planner="probe",
    )


def _random_row(spec: TensorSpec, generator: np.random.Generator) -> Array:
    shape = [size or 1 for size in spec.row_shape]
    if spec.dtype.startswith("float"):
        return generator.normal(0, 1, shape).astype(spec.dtype)
    # wider integers may be indices into a table of unknown size, such as token types: 0 and 1 are always there
    return generator.integers(0, 256 if spec.dtype == "uint8" else 2, shape).astype(spec.dtype)


def _overheads(manifest: Manifest, plan: Plan) -> tuple[int, int]:
    """Bytes of a one-row request beside its tensors, and of its response."""
    codec = codec_named(plan.codec_at(0))
    row = [np.zeros([1, *(size or 1 for size in spec.row_shape)], spec.dtype) for spec in manifest.inputs]
    payloads = [codec.encode(tensor) for tensor in row]
    request = build_request(manifest.name, 0, plan.plan_id, 1.0, codec, manifest.inputs, row, payloads)
    request.id = "1000"
    answer = Rows.unanswered(1, len(manifest.labels))
    answer.tier, answer.compute_s, answer.queue_s = ["server"], {"server": 1e-3}, {"server": 1e-3}
    response = build_response(manifest.name, "1000", answer)
    return request.ByteSize() - sum(len(payload) for payload in payloads), response.ByteSize()
