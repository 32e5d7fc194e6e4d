"""The stored measurement in words, and whether replay finds the same decisions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from offramp.confidence.temperature import fit_temperature
from offramp.errors import RecordMismatch
from offramp.policies.fixed import FixedGates
from offramp.policies.hindsight import HindsightThreshold
from offramp.policies.replay import replay
from offramp.policies.setting import Setting
from offramp.policies.stream import stream_of
from offramp.records.records import Records, load_records
from studies.live_hi.measure import EXAMPLES, ROWS
from studies.live_hi.measurement import Measured, Run, load_measured
from studies.row import StudyRow

__all__ = ["study"]

RECORDS = EXAMPLES / "pair-cifar100" / "records" / "fp32.parquet"
#: per cent, of the measurement follow-up (arXiv 2407.11061): "up to"
LATENCY_SAVED, ENERGY_SAVED, EXITS_LATENCY_SAVED = 73.0, 77.0, 59.7


def study() -> Iterator[StudyRow]:
    """Every row of the study.

    Raises
    ------
    RecordMismatch : there is no measurement
    """
    measured = load_measured()
    how = (
        f"measured one row after the other, {measured.trace} with {1e3 * measured.rtt_s:g} ms of delay, device "
        f"{measured.slow_down:g} times slower than this machine, seed 0"
    )
    for run in measured.runs:
        yield from _numbers(run, f"{how}, {run.rows} rows", measured.price)
    yield from _savings(measured, how)
    yield from _replayed(measured)


def _numbers(run: Run, how: str, price: float) -> Iterator[StudyRow]:
    mean_s, late_s = run.latency_s
    yield StudyRow(f"{run.name}: latency, mean", None, 1e3 * mean_s, "ms", how)
    yield StudyRow(f"{run.name}: latency, 95 %", None, 1e3 * late_s, "ms", how)
    yield StudyRow(f"{run.name}: device computes", None, 1e3 * run.device_s, "ms", how)
    yield StudyRow(f"{run.name}: accuracy", None, 100 * run.accuracy, "%", how)
    if run.name in ("large on the device", "local, no exits", "local, exits at 0.9"):
        return
    yield StudyRow(f"{run.name}: offloaded", None, 100 * run.offloaded, "%", how)
    sent = f"{how}; {run.audited} audited rows, sent again where they had stopped, are not counted"
    yield StudyRow(f"{run.name}: sent", None, run.sent_bytes / run.rows, "bytes per row", sent)
    yield StudyRow(f"{run.name}: degraded", None, run.degraded, "rows", how)
    cost = 100 * (1.0 - run.accuracy + price * run.offloaded)
    yield StudyRow(f"{run.name}: cost", None, cost, "per 100", f"{how}; an offload costs {price:g} mistakes")


def _savings(measured: Measured, how: str) -> Iterator[StudyRow]:
    large, full = measured.run("large on the device"), measured.run("full offload")
    for name in ("theta*", "ours"):
        run = measured.run(name)
        against_large = f"{name} against large on the device"
        lost = 100 * (full.accuracy - run.accuracy)
        where = f"{how}; {lost:.1f} points of accuracy below the large network"
        latency = 100 * (1.0 - run.latency_s[0] / large.latency_s[0])
        holds = f"{where}; published: up to, other devices and networks, at equal accuracy; holds: shorter"
        yield StudyRow(f"{against_large}: latency saved", LATENCY_SAVED, latency, "%", holds, latency > 0)
        device = 100 * (1.0 - run.device_s / large.device_s)
        compute = f"{where}; compute time of the device; published: its energy, up to"
        yield StudyRow(f"{against_large}: device saved", ENERGY_SAVED, device, "%", compute)
        against = 100 * (1.0 - run.latency_s[0] / full.latency_s[0])
        yield StudyRow(f"{name} against full offload: latency saved", None, against, "%", where)
        sent = 100 * (1.0 - run.sent_bytes / full.sent_bytes)
        yield StudyRow(f"{name} against full offload: bytes saved", None, sent, "%", where)
    plain, exits = measured.run("local, no exits"), measured.run("local, exits at 0.9")
    saved = 100 * (1.0 - exits.device_s / plain.device_s)
    lost = 100 * (plain.accuracy - exits.accuracy)
    rows = f"{how}; ResNet-8 with exits on CIFAR-10 JPEG, {lost:.1f} points lost; published: latency of HI"
    yield StudyRow("exits in the local model: device saved", EXITS_LATENCY_SAVED, saved, "%", rows)


def _replayed(measured: Measured) -> Iterator[StudyRow]:
    """Whether the live decisions are those of a replay over the committed records."""
    if not RECORDS.is_file():
        return
    records = load_records(RECORDS)
    if records.provenance.cascade_fingerprint != measured.cascade_fingerprint:
        yield StudyRow("replay left out", None, 1, "pairs", "the records are of another build than was measured")
        return
    tune = records.on("tune")
    degrees = [fit_temperature(tune.logits[index], tune.labels) for index in range(2)]
    known = stream_of(tune, temperatures=degrees).labelled
    stream = stream_of(_asked(records), temperatures=degrees)
    theta = HindsightThreshold.start(Setting((None,), price=measured.price, rows=known))
    for name, policy in (("never", FixedGates([0.0])), ("always", FixedGates([None])), ("theta*", theta)):
        found = replay(policy, stream)
        live = np.array(list(measured.run(name).exits), int)
        if len(live) != len(found.exit):
            raise RecordMismatch(f"the measurement of {name!r} has {len(live)} rows, replay {len(found.exit)}")
        other = int((live != found.exit).sum())
        how = f"replayed from the records and compared with what was measured, {len(live)} rows; holds: none"
        yield StudyRow(f"{name}: decisions other than in replay", None, other, "rows", how, other == 0)


def _asked(records: Records) -> Records:
    """The rows that were asked: see ``measure.py``."""
    test = records.on("test")
    return test.take(np.sort(np.random.default_rng(0).permutation(len(test))[:ROWS]))
