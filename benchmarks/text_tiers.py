"""Sentences a second through device, edge and cloud as processes, each with its prefix of MiniLM.

Links are unshaped loopback: what is measured is tokenising, computing and the protocol. Needs a built cascade, as the
benchmark *text* does, and ``OFFRAMP_DATA`` for the sentences of SST-2.
"""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.row import BenchmarkRow
from benchmarks.text import DEFAULT
from offramp.cascade.store import Cascade, open_cascade
from offramp.data.registry import load_dataset
from offramp.errors import ConfigError
from offramp.links.network import Link, Network, Tier
from offramp.planning.plan import GateSpec, Plan
from offramp.runtime.device import Device
from offramp.runtime.local import LocalCluster

__all__ = ["run"]

#: not among all: it needs a built cascade
BY_NAME = True
TIERS = ("device", "edge", "cloud")
PLACEMENT = tuple(tier for tier in TIERS for _ in range(2))


def run(quick: bool) -> list[BenchmarkRow]:
    """One after the other, with gates off and at 0.9, against all segments in this process.

    Parameters
    ----------
    quick : 20 sentences, not 300

    Raises
    ------
    ConfigError : there is no cascade of MiniLM here
    """
    folder = Path(os.environ.get("OFFRAMP_TEXT_CASCADE", DEFAULT))
    if not folder.is_dir():
        raise ConfigError(f"{folder}: no such cascade; build it with 'offramp build examples/sst2/config.toml'")
    cascade, data = open_cascade(folder), load_dataset("sst2")
    dev = np.flatnonzero(data.fixed_test)[: 20 if quick else 300]
    texts = [str(text) for text in data.inputs[0][dev]]
    alone = _per_second(cascade, texts, PLACEMENT[:1] * len(PLACEMENT), None)
    return [
        _row("all sentences to the cloud", alone, _per_second(cascade, texts, PLACEMENT, None), len(texts)),
        _row("gates at 0.9", alone, _per_second(cascade, texts, PLACEMENT, 0.9), len(texts)),
    ]


def _row(name: str, alone: float, ours: float, sentences: int) -> BenchmarkRow:
    how = f"measured: {sentences} dev sentences of SST-2, one after the other, loopback, a thread for each process"
    note = "baseline: all six layers in the device's process, gates off"
    return BenchmarkRow(f"three processes, {name}", alone, ours, ours / alone, "sentences/s", how, note)


def _per_second(cascade: Cascade, texts: list[str], placement: tuple[str, ...], threshold: float | None) -> float:
    plan = Plan(
        cascade=cascade.name,
        cascade_fingerprint=cascade.manifest.fingerprint,
        tiers=TIERS,
        placement=placement,
        gates=(GateSpec(threshold=threshold),) * (len(placement) - 1),
        temperatures=cascade.manifest.calibration.temperatures,
    )
    if set(placement) == {TIERS[0]}:
        with Device(cascade, plan) as device:
            return _timed(device, texts)
    network = Network(tuple(Tier(name) for name in TIERS), (Link("device", "edge", 1e9), Link("edge", "cloud", 1e9)))
    with tempfile.TemporaryDirectory() as temporary:
        plan.save(file := Path(temporary) / "plan.json")
        with (
            LocalCluster(cascade.path, [file], network, shaped=False) as cluster,
            Device(cascade, plan, cluster.upstream_address, deadline_s=30.0) as device,
        ):
            return _timed(device, texts)


def _timed(device: Device, texts: list[str]) -> float:
    for text in texts[:5]:
        device.infer(text)
    begin = time.perf_counter()
    for text in texts:
        if (reason := device.infer(text).degraded) is not None:
            raise RuntimeError(f"a tier did not answer: {reason}")
    return len(texts) / (time.perf_counter() - begin)
