"""``offramp run``: the device side."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import typer

from offramp.cli.common import console, data_name, print_json, say, status_console

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from offramp.cascade.manifest import Manifest
    from offramp.data.dataset import Dataset
    from offramp.links.network import Network
    from offramp.planning.plan import Plan
    from offramp.runtime.access import Access
    from offramp.runtime.answer import Answer
    from offramp.runtime.device import Device
    from offramp.runtime.run_result import RunResult
    from offramp.runtime.spooled import SpooledSample
    from offramp.runtime.spooler import LateAnswer

__all__ = ["rows_to_run", "run", "run_live"]


def rows_to_run(
    manifest: Manifest, dataset: Dataset, split: str, rows: int | None
) -> tuple[tuple[NDArray[Any], ...], NDArray[np.int64]]:
    """Inputs and labels to send: a split of the data the cascade was built on, or all of other data.

    Raises
    ------
    DataError : the split is unknown or empty
    """
    from offramp.data.dataset import SPLITS, split_rows
    from offramp.errors import DataError

    spec = manifest.data
    if spec is not None and spec.sha256 == dataset.sha256:
        if split not in SPLITS:
            raise DataError(f"unknown split {split!r}; the splits are {', '.join(SPLITS)}")
        names = split_rows(dataset, spec.split_seed, spec.tune, spec.calibrate, spec.test)
        index = np.flatnonzero(names == split)
    else:
        index = np.arange(len(dataset))
    index = index[:rows]
    if not len(index):
        raise DataError(f"{dataset.name}: no {split} rows to run")
    return dataset.rows(index), dataset.labels[index]


def run_live(
    device: Device,
    inputs: tuple[NDArray[Any], ...],
    labels: NDArray[np.int64],
    name: str,
    before_row: Callable[[int], None] | None = None,
    in_flight: int = 1,
) -> RunResult:
    """Stream rows through the device while a table on stderr shows what is answered where."""
    from rich.live import Live

    from offramp.reporting.live import LiveTable
    from offramp.runtime.run import run as run_rows

    table = LiveTable(name, device.manifest.exit_names, device.plan.tiers, len(labels))
    if not status_console.is_terminal:
        return run_rows(device, inputs, labels, name=name, before_row=before_row, in_flight=in_flight)
    with Live(table, console=status_console, refresh_per_second=4, transient=True):
        return run_rows(
            device, inputs, labels, name=name, before_row=before_row, on_answer=table.add, in_flight=in_flight
        )


def run(
    cascade: Path = typer.Argument(..., help="The folder NAME.cascade."),
    plan: Path | None = typer.Option(None, help="Plan file; default: CASCADE/plans/plan.json."),
    network: Path = typer.Option(..., help="Network file: tiers, their addresses, links."),
    data: str | None = typer.Option(None, help="Data set name or .npz file; default: the one it was built on."),
    split: str = typer.Option("test", help="Rows to run, where the data is the one it was built on."),
    rows: int | None = typer.Option(None, min=1, help="At most this many rows."),
    spawn: bool = typer.Option(
        False, "--spawn", help="Start the other tiers and the shaped links here, as processes on loopback."
    ),
    deadline_ms: float | None = typer.Option(None, help="Answer every sample within this time."),
    mode: str = typer.Option("plan", help="plan, prefer-device, only-device, prefer-cloud or only-cloud."),
    in_flight: int = typer.Option(1, min=1, help="Samples under way at a time."),
    hedge: float | None = typer.Option(
        None, help="Ask the next server too after this quantile of the last latencies, e.g. 0.95."
    ),
    spool: Path | None = typer.Option(
        None, help="Folder for samples that cannot be delivered; late answers go to FOLDER/late-answers.jsonl."
    ),
    deliver_s: float = typer.Option(
        0.0, min=0.0, help="After the last row, wait at most so many seconds for spooled samples to be delivered."
    ),
    spool_mb: float = typer.Option(64.0, min=0.001, help="At most so many megabytes in the spool."),
    adapt: bool = typer.Option(False, "--adapt", help="Re-plan while the links change, from records and profiles."),
    audit: float | None = typer.Option(None, help="Share of answers to compare with the last exit's, e.g. 0.02."),
    audit_limit: float | None = typer.Option(None, help="Share that may differ; default: what the records show, more."),
    metrics_port: int | None = typer.Option(None, help="Prometheus metrics over HTTP; 0 takes a free port."),
    log_json: bool = typer.Option(False, "--log-json", help="Log events as lines of JSON to stderr."),
    name: str = typer.Option("plan", help="Name of the run in reports."),
    output: Path | None = typer.Option(None, help="Run file; default: CASCADE/runs/NAME.json."),
    json: bool = typer.Option(False, "--json", help="Print a JSON summary."),
) -> None:
    """Stream samples through the device, with a live table."""
    from offramp.cascade.store import open_cascade
    from offramp.cli.watching import adaptation_for, audit_for, watched
    from offramp.data.registry import load_dataset
    from offramp.links.network import load_network
    from offramp.planning.plan import load_plan
    from offramp.reporting.terminal import runs_table
    from offramp.runtime.device import Device
    from offramp.runtime.gauges import device_gauges
    from offramp.runtime.json_logs import log_as_json
    from offramp.runtime.metrics import start_metrics
    from offramp.runtime.modes import mode_named
    from offramp.runtime.spool import Spool
    from offramp.runtime.tolerance import FaultTolerance

    if log_json:
        log_as_json()
    forced, tolerance = mode_named(mode), FaultTolerance(hedge_quantile=hedge)
    opened = open_cascade(cascade)
    plan_file = plan or cascade / "plans" / "plan.json"
    chosen, loaded = load_plan(plan_file), load_network(network)
    chosen.require(opened.manifest.fingerprint)
    inputs, labels = rows_to_run(opened.manifest, load_dataset(data_name(opened.manifest, data)), split, rows)
    device_tier, target = loaded.tiers[0], output or cascade / "runs" / f"{name}.json"
    adapting, auditing, audit_log = None, None, target.with_suffix(".audit.jsonl")
    if adapt:
        adapting = adaptation_for(cascade, chosen, loaded)
    if audit is not None:
        auditing = audit_for(cascade, chosen, audit, audit_limit, audit_log)
    with ExitStack() as stack:
        wider = adapt or audit is not None
        upstream, access = _beyond(stack, cascade, plan_file, chosen, loaded, forced, spawn=spawn, wider=wider)
        device = stack.enter_context(
            Device(
                opened,
                chosen,
                upstream,
                tier=device_tier.name,
                slow_down=device_tier.slow_down,
                deadline_s=None if deadline_ms is None else deadline_ms / 1e3,
                access=access,
                mode=forced,
                tolerance=tolerance,
                max_in_flight=in_flight,
                spool=None if spool is None else Spool(spool, max_bytes=int(spool_mb * 1e6)),
                on_late_answer=None if spool is None else late_answers_to(spool / "late-answers.jsonl"),
                adaptation=adapting,
                audit=auditing,
            )
        )
        if metrics_port is not None:
            port = start_metrics(device.counters, metrics_port, gauges=lambda: device_gauges(device))
            status_console.print(f"metrics -> http://127.0.0.1:{port}/metrics")
        result = run_live(device, inputs, labels, name, in_flight=in_flight)
        if deliver_s:
            device.deliver(deliver_s)
    spooled = {} if device.spool is None else device.spool.counts()
    result.save(target)
    if json:
        print_json(_summary(result, chosen.plan_id, {**spooled, **watched(device)}))
        return
    console.print(runs_table((result,)))
    say(f"run -> {target}")
    for key, value in watched(device).items():
        say(f"{key.replace('_', ' ')}: {value}")
    if spooled:
        say(
            f"spool {spool}: {spooled['spool.stored']} kept, {spooled['spool.delivered']} delivered, "
            f"{spooled['spool.lost']} lost, {spooled['spool.waiting']} wait for the next run"
        )


def _beyond(
    stack: ExitStack,
    cascade: Path,
    plan_file: Path,
    plan: Plan,
    network: Network,
    forced: str,
    *,
    spawn: bool,
    wider: bool,
) -> tuple[str | tuple[str, ...] | None, Access]:
    """Addresses of the tier after the device, and how it is reached; ``wider``: also where the plan needs no tier."""
    from offramp.runtime.access import OPEN, Access
    from offramp.runtime.local import LocalCluster

    if forced == "only-device":
        return None, OPEN
    if spawn:  # what is spawned listens on loopback only
        return stack.enter_context(LocalCluster(cascade, [plan_file], network)).upstream_address, OPEN
    device = network.tiers[0].name
    next_tier = plan.next_tier(device)
    if next_tier is None and (wider or "cloud" in forced) and len(network.tiers) > 1:
        next_tier = network.tiers[1].name
    access = OPEN if next_tier is None else Access.between(network, device, next_tier)
    return upstream_addresses(network, next_tier), access


def _summary(result: RunResult, plan_id: str, counts: dict[str, Any]) -> dict[str, Any]:
    """What a script wants to read; ``counts`` with underscores for dots."""
    return {
        "name": result.name,
        "plan_id": plan_id,
        "rows": len(result),
        "accuracy": result.accuracy,
        "mean_latency_s": result.mean_latency_s,
        "p50_latency_s": result.latency_quantile_s(0.5),
        "p95_latency_s": result.latency_quantile_s(0.95),
        "bytes_per_sample": result.bytes_per_sample,
        "exit_share": result.exit_share.tolist(),
        "tier_share": result.tier_share,
        "degraded_rows": result.degraded_rows,
        **{key.replace(".", "_"): count for key, count in counts.items()},
    }


def late_answers_to(file: Path) -> LateAnswer:
    """Writes one line of JSON for every spooled sample that was answered later."""
    from json import dumps

    def write(sample: SpooledSample, answer: Answer) -> None:
        line = {
            "time_s": sample.time_s,
            "reason": sample.reason,
            "plan_id": sample.plan_id,
            "device": {"label": sample.label, "confidence": sample.confidence, "exit": sample.exit},
            "late": {"label": answer.label, "confidence": answer.confidence, "exit": answer.exit, "tier": answer.tier},
        }
        with file.open("a") as lines:
            lines.write(dumps(line) + "\n")

    return write


def upstream_addresses(network: Network, next_tier: str | None) -> tuple[str, ...] | None:
    """Addresses of the tier the device talks to, ``None`` when the plan stays on the device.

    Raises
    ------
    ConfigError : the plan needs that tier, but the network file gives it no address
    """
    from offramp.errors import ConfigError

    if next_tier is None:
        return None
    tier = network.tier(next_tier)
    if tier.address is None:
        raise ConfigError(
            f'{network.name}: tier {next_tier!r} has no address; add address = "HOST:PORT" or pass --spawn'
        )
    scheme = "oip://" if tier.protocol == "oip" else ""
    return tuple(scheme + address for address in tier.addresses)
