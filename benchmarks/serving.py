"""Our tier beside other model servers, serving the same ResNet-20 tail (64 KB of features in) on the same cores.

Both are up at a time, and blocks of load take turns, from a process of its own; each request is one row, computed by
ONNX Runtime on one thread. gRPC servers are asked over the stream and by unary calls, and the better one counts
(MLServer: by unary calls alone); the others over HTTP with the tensor's bytes as the body (BentoML: as an uploaded
file, its own way to take bytes; LitServe: by a dependency of FastAPI, because by itself it parses JSON). ``make
bench-peers`` makes the environments first; what could not be made or started is said in its row.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.peers.resnet20 import CUT, resnet20
from benchmarks.peers.servers import PEERS, Asked, features, ours
from benchmarks.row import BenchmarkRow
from offramp.cascade.store import Cascade
from offramp.errors import ConfigError
from tests.interop.environments import ENVIRONMENTS, why_not

__all__ = ["run"]

#: it needs environments that 'make bench-peers' makes: not one of all
BY_NAME = True

CONCURRENCY = (1, 16, 64)


def run(quick: bool) -> list[BenchmarkRow]:
    """Requests per second of our tier over those of each peer, at each concurrency; more is better.

    Parameters
    ----------
    quick : short blocks, two of each
    """
    blocks, seconds = (2, 1.0) if quick else (3, 3.0)
    rows: list[BenchmarkRow] = []
    with tempfile.TemporaryDirectory() as folder:
        cascade = resnet20(Path(folder))
        for name, (environment, start) in PEERS.items():
            work = Path(folder) / environment
            (work / "ours").mkdir(parents=True)
            try:
                if (reason := why_not(environment)) is not None:
                    raise ConfigError(reason)
                with ours(cascade, work / "ours") as tier, start(cascade, work) as peer:
                    found = _compare(name, cascade, tier, peer, work, blocks, seconds)
                version = ENVIRONMENTS[environment][0]
                rows += [replace(row, notes=f"{version}; {row.notes}") for row in found]
            except (ConfigError, RuntimeError, AssertionError) as error:
                rows.append(_missing(name, " ".join(str(error).split())[-400:]))
    return rows


def _compare(
    name: str, cascade: Cascade, tier: Asked, peer: Asked, work: Path, blocks: int, seconds: float
) -> list[BenchmarkRow]:
    rows = []
    expected = cascade.segment(CUT).run([features()]).probabilities
    for concurrency in CONCURRENCY:
        asks = [("ours", kind, tier) for kind in tier.kinds] + [("peer", kind, peer) for kind in peer.kinds]
        found: dict[tuple[str, str], list[dict[str, Any]]] = {(who, kind): [] for who, kind, _ in asks}
        for block in range(blocks):
            for who, kind, asked in asks if block % 2 == 0 else asks[::-1]:
                result = _load(asked, kind, concurrency, seconds, work)
                if expected is not None:
                    _same(name if who == "peer" else "our tier", result["probabilities"], expected)
                found[who, kind].append(result)
        rows.append(_row(name, concurrency, found, blocks, seconds))
    return rows


def _row(
    name: str, concurrency: int, found: dict[tuple[str, str], list[dict[str, Any]]], blocks: int, seconds: float
) -> BenchmarkRow:
    medians = {
        key: {part: statistics.median(result[part] for result in results) for part in _PARTS}
        for key, results in found.items()
    }
    best = {
        who: max((value["requests_per_s"], kind) for (whose, kind), value in medians.items() if whose == who)
        for who in ("ours", "peer")
    }
    said = "; ".join(
        f"{'ours' if who == 'ours' else name} {kind}: {value['requests_per_s']:.0f}/s, "
        f"p50 {value['p50_s'] * 1e3:.2f} ms, p99 {value['p99_s'] * 1e3:.2f} ms"
        for (who, kind), value in medians.items()
    )
    return BenchmarkRow(
        f"{name}, {concurrency} at a time",
        baseline=best["peer"][0],
        ours=best["ours"][0],
        ratio=best["ours"][0] / best["peer"][0],
        unit="1/s",
        how=f"measured: medians of {blocks} alternating blocks of {seconds:g} s, closed loop",
        notes=f"more is better, must be above 1; {said}",
    )


_PARTS = ("requests_per_s", "p50_s", "p99_s")


def _missing(name: str, reason: str) -> BenchmarkRow:
    return BenchmarkRow(f"{name}: not measured", 0.0, 0.0, 0.0, "1/s", "not measured", reason)


def _load(asked: Asked, kind: str, concurrency: int, seconds: float, work: Path) -> dict[str, Any]:
    body, job = work / "body", work / "job.json"
    body.write_bytes(asked.body)
    told = {"kind": kind, "address": asked.address, "path": asked.path, "headers": dict(asked.headers)}
    job.write_text(
        json.dumps({**told, "body": str(body), "concurrency": concurrency, "seconds": seconds, "warm_s": seconds / 4})
    )
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.peers.load", str(job)], capture_output=True, timeout=seconds * 2 + 60
    )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["it said nothing"]
        raise RuntimeError(f"{kind}, {concurrency} at a time: {lines[-1]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def _same(who: str, given: str, expected: np.ndarray[Any, np.dtype[np.float32]]) -> None:
    """The answer must be that of the same network."""
    data = bytes.fromhex(given)
    text = data[:1] == b"["
    values = np.array(json.loads(data)) if text else np.frombuffer(data, np.float32)
    if values.shape != (expected.size,) or not np.allclose(values, expected.ravel(), atol=1e-4):
        raise RuntimeError(f"{who} answers {values[:3]}, not {expected.ravel()[:3]}")
