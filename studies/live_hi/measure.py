"""Running the policies for real: ``python -m studies.live_hi.measure PAIR.cascade RESNET8.cascade``.

The cloud is a process of its own, the link a relay process that follows a 4G trace from its beginning for every policy;
the device is this process, made slower by a factor. Rows are asked one after the other. It writes ``measured.json``.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.store import Cascade, open_cascade, write_text_atomic
from offramp.confidence.temperature import fit_temperature
from offramp.data.registry import data_folder, load_dataset
from offramp.errors import ConfigError
from offramp.links.network import Link, Network, Tier
from offramp.links.trace import load_trace
from offramp.planning.plan import GateSpec, Plan
from offramp.policies.base import Policy
from offramp.policies.fixed import FixedGates
from offramp.policies.guarded_gain import GuardedGain
from offramp.policies.hindsight import HindsightThreshold
from offramp.policies.setting import Setting
from offramp.policies.stream import stream_of
from offramp.profiles.machine import this_machine
from offramp.records.records import Records, load_records
from offramp.runtime.answer import Answer
from offramp.runtime.audit import Audit
from offramp.runtime.device import Device
from offramp.runtime.local import LocalCluster
from offramp.runtime.modes import Mode
from offramp.runtime.process import ReadyProcess
from studies.live_hi.measurement import FILE, Measured, Run

EXAMPLES = Path(__file__).parents[2] / "examples"
TRACE = "belgium_4g/report_bus_0001.csv.gz"
RTT_S, SLOW_DOWN, PRICE, AUDIT_SHARE = 0.04, 20.0, 0.15, 0.02
ROWS, FEWER_ROWS, WARM_ROWS = 400, 200, 5


def plan_of(cascade: Cascade, degrees: Sequence[float], tiers: tuple[str, ...], placement: Sequence[str]) -> Plan:
    """Gates that stop nobody: the policy decides."""
    return Plan(
        cascade=cascade.name,
        cascade_fingerprint=cascade.manifest.fingerprint,
        tiers=tiers,
        placement=tuple(placement),
        gates=(GateSpec(threshold=None),) * (len(degrees) - 1),
        temperatures=tuple(degrees),
    )


def ask(device: Device, name: str, rows: NDArray[Any], labels: NDArray[np.int64], mode: Mode | None = None) -> Run:
    """Every row after the answer to the one before."""
    for row in rows[:WARM_ROWS]:
        device.infer(row, mode=mode)
    answers = [device.infer(row, mode=mode) for row in rows]
    if device.auditor is not None:
        device.auditor.flush()
    return Run(
        name=name,
        latency_us=tuple(round(1e6 * answer.latency_s) for answer in answers),
        device_us=tuple(round(1e6 * _device_s(answer)) for answer in answers),
        exits="".join(str(answer.exit) for answer in answers),
        right="".join(str(int(answer.label == label)) for answer, label in zip(answers, labels, strict=True)),
        sent_bytes=sum(answer.sent_bytes for answer in answers),
        audited=0 if device.auditor is None else device.auditor.audited,
        degraded=sum(answer.degraded is not None for answer in answers),
    )


def _device_s(answer: Answer) -> float:
    return (answer.compute_s or {}).get("device", 0.0)


def pair_runs(cascade: Cascade, records: Records, rows: NDArray[Any], labels: NDArray[np.int64]) -> list[Run]:
    """The pair over the trace, under every policy."""
    tune = records.on("tune")
    degrees = [fit_temperature(tune.logits[index], tune.labels) for index in range(2)]
    known = stream_of(tune, temperatures=degrees).labelled
    setting = Setting((None,), price=PRICE, horizon=len(rows), classes=records.classes, rows=known)
    policies: dict[str, Policy] = {
        "never": FixedGates([0.0]),
        "always": FixedGates([None]),
        "theta*": HindsightThreshold.start(setting),
        "ours": GuardedGain.start(setting, seed=0),
    }
    plan = plan_of(cascade, degrees, ("device", "cloud"), ("device", "cloud"))
    alone = plan_of(cascade, degrees, ("device",), ("device", "device"))
    found = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "plan.json"
        plan.save(file)
        network = Network((Tier("device"), Tier("cloud")), (Link("device", "cloud", 1e6, RTT_S),))
        for name, policy in [*policies.items(), ("full offload", None)]:
            with ExitStack() as stack:
                cluster = stack.enter_context(LocalCluster(cascade.path, [file], network, shaped=False))
                relay = _relay(cluster.upstream_address)
                stack.callback(relay.close)
                audit = Audit(AUDIT_SHARE, limit=0.9) if name == "ours" else None
                address = f"127.0.0.1:{relay.wait_ready()['ports'][0]}"
                device = Device(cascade, plan, address, slow_down=SLOW_DOWN, policy=policy, audit=audit)
                stack.enter_context(device)
                found.append(ask(device, name, rows, labels, "only-cloud" if policy is None else None))
    with Device(cascade, alone, slow_down=SLOW_DOWN) as device:
        found.append(ask(device, "large on the device", rows[:FEWER_ROWS], labels[:FEWER_ROWS]))
    return found


def exit_runs(cascade: Cascade, rows: NDArray[Any], labels: NDArray[np.int64]) -> list[Run]:
    """A local model of its own exits, on the device alone: none used, and the first two at 0.9."""
    degrees = cascade.manifest.calibration.temperatures
    plan = plan_of(cascade, degrees, ("device",), ("device",) * len(cascade.manifest.segments))
    found = []
    for name, thresholds in (("local, no exits", (None, None)), ("local, exits at 0.9", (0.9, 0.9))):
        with Device(cascade, plan, slow_down=SLOW_DOWN, policy=FixedGates(thresholds)) as device:
            found.append(ask(device, name, rows, labels))
    return found


def _relay(target: str) -> ReadyProcess:
    folder = data_folder()
    if folder is None:
        raise ConfigError("the traces are needed: set OFFRAMP_DATA")
    route = f"127.0.0.1:0,{target},1e6,{RTT_S},{folder / 'traces' / TRACE}"
    return ReadyProcess("offramp.links.relay_process", ["--route", route], "the relay")


def main() -> None:
    """Measure everything and store it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pair", type=Path, help="pair-cifar100.cascade")
    parser.add_argument("exits", type=Path, help="resnet8.cascade, with its exits")
    options = parser.parse_args()
    pair, records = open_cascade(options.pair), load_records(EXAMPLES / "pair-cifar100" / "records" / "fp32.parquet")
    records.require(pair.manifest.fingerprint)
    load = os.getloadavg()[:2]
    runs = pair_runs(pair, records, *_rows("cifar100", records))
    exits = load_records(EXAMPLES / "cifar10" / "records" / "fp32.parquet")
    runs += exit_runs(open_cascade(options.exits), *_rows("cifar10-jpeg", exits))
    folder = data_folder()
    assert folder is not None
    trace = load_trace(folder / "traces" / TRACE)
    commit = subprocess.run(["git", "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, check=False)
    measured = Measured(
        created_utc=datetime.now(UTC).isoformat(timespec="seconds"),
        commit=commit.stdout.strip() or None,
        cascade=pair.name,
        cascade_fingerprint=pair.manifest.fingerprint,
        machine=this_machine().model_dump(),
        load=load,
        trace=TRACE,
        trace_mean_bps=float(np.mean(trace.bandwidth_bps)),
        rtt_s=RTT_S,
        slow_down=SLOW_DOWN,
        price=PRICE,
        runs=tuple(runs),
    )
    write_text_atomic(FILE, measured.model_dump_json() + "\n")


def _rows(data: str, records: Records) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """Test rows drawn by a fixed seed."""
    test = records.on("test")
    chosen = test.take(np.sort(np.random.default_rng(0).permutation(len(test))[:ROWS]))
    return np.asarray(load_dataset(data).inputs[0][chosen.row]), chosen.labels


if __name__ == "__main__":
    main()
