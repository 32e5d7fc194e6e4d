"""``offramp demo``: the whole path on bundled data, a summary and a report at the end."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
import tomllib
from contextlib import ExitStack
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from offramp.cli.common import command_line, console, data_name, git_commit, progress_bar, say, status_console
from offramp.errors import ConfigError

if TYPE_CHECKING:
    from offramp.cascade.store import Cascade
    from offramp.links.network import Network
    from offramp.planning.plan import Plan
    from offramp.planning.result import SearchResult
    from offramp.profiles.profile import Profile
    from offramp.records.records import Records
    from offramp.runtime.run_result import RunResult

__all__ = ["demo", "demo_files"]

ACCURACY_LOSS = 0.01


def demo_files() -> Path:
    """Folder with the demo's ``config.toml`` and ``network.toml``: in the package, or in a checkout."""
    packaged = Path(str(files("offramp"))) / "_examples" / "digits"
    return packaged if packaged.is_dir() else Path(__file__).parents[3] / "examples" / "digits"


def demo(
    output: Path = typer.Option(Path("out/demo"), help="Folder for the cascade and the report."),
    rows: int | None = typer.Option(None, min=20, help="Fewer test rows, for a quick look."),
    example: Path | None = typer.Option(None, help="Folder with another config.toml and network.toml."),
) -> None:
    """The whole path on bundled data; a report at the end.

    Build, record, calibrate, profile, plan and run a cascade on three tiers."""
    from offramp.cascade.store import open_cascade
    from offramp.links.network import load_network

    begin_s = time.perf_counter()
    files = example or demo_files()
    folder = output / f"{_name(files / 'config.toml')}.cascade"
    shutil.rmtree(folder, ignore_errors=True)
    network = load_network(files / "network.toml")
    _step(1, "build: a multi-exit network, one ONNX file per segment")
    _build(files / "config.toml", folder)
    _step(2, "record every exit on every held-out row, calibrate")
    cascade, records = _evidence(open_cascade(folder))
    _step(3, "profile the segments in a fresh process, once per tier")
    profiles = _profile(cascade, network)
    _step(4, f"plan: accuracy loss at most {ACCURACY_LOSS:.0%}, least mean latency")
    search = _plan(cascade, records, profiles, network)
    _step(5, "run: device, edge and cloud as processes, links shaped")
    runs = _runs(cascade, search, network, rows)
    _summary(cascade, records, search, runs, network, profiles, output, time.perf_counter() - begin_s)


def _name(config: Path) -> str:
    try:
        return str(tomllib.loads(config.read_text())["name"])
    except (OSError, KeyError, ValueError) as error:
        raise ConfigError(f"{config}: not a build config with a name ({error})") from error


def _step(number: int, text: str) -> None:
    say(f"[bold]{number}/6 {text}[/bold]")


def _build(config: Path, folder: Path) -> None:
    """In a process of its own, so that the device never loads torch."""
    command = [sys.executable, "-m", "offramp.cli.main", "build", str(config)]
    done = subprocess.run([*command, "--output", str(folder), "--overwrite"], check=False)
    if done.returncode:
        raise typer.Exit(done.returncode)


def _evidence(cascade: Cascade) -> tuple[Cascade, Records]:
    from offramp.data.registry import load_dataset
    from offramp.records.calibrate import calibrate_cascade
    from offramp.records.collect import collect
    from offramp.reporting.calibration import calibration_of
    from offramp.reporting.terminal import calibration_table

    with progress_bar("recording") as update:
        records = collect(
            cascade,
            load_dataset(data_name(cascade.manifest, None)),
            cascade.path / "records" / "fp32.parquet",
            command=command_line(),
            commit=git_commit(),
            progress=update,
        )
    cascade = calibrate_cascade(cascade, records)
    test = records.on("test")
    rows = calibration_of(test, cascade.manifest.calibration.temperatures)
    console.print(calibration_table(rows, f"{len(test)} test rows"))
    return cascade, records


def _profile(cascade: Cascade, network: Network) -> dict[str, Profile]:
    from offramp.cli.profile import profile_tiers, profiles_table

    profiles = profile_tiers(cascade, list(network.tiers))
    console.print(profiles_table(profiles))
    return profiles


def _plan(cascade: Cascade, records: Records, profiles: dict[str, Profile], network: Network) -> SearchResult:
    from offramp.planning.objective import Objective
    from offramp.planning.search import search
    from offramp.reporting.terminal import plan_table

    found = search(
        records,
        profiles,
        network,
        Objective(accuracy_loss=ACCURACY_LOSS),
        temperatures=cascade.manifest.calibration.temperatures,
    )
    plans = cascade.path / "plans"
    found.plan.save(plans / "plan.json")
    found.save(plans / "plan.search.json")
    for endpoint in found.endpoints:
        endpoint.plan.save(plans / f"{endpoint.name}.json")
    console.print(plan_table(found))
    say(found.why)
    return found


def _runs(cascade: Cascade, search: SearchResult, network: Network, rows: int | None) -> list[RunResult]:
    from offramp.cli.run import rows_to_run, run_live
    from offramp.data.registry import load_dataset
    from offramp.runtime.device import Device
    from offramp.runtime.local import LocalCluster

    inputs, labels = rows_to_run(cascade.manifest, load_dataset(data_name(cascade.manifest, None)), "test", rows)
    plans = {candidate.name: candidate.plan for candidate in search.endpoints}
    tier = network.tiers[0]
    plan_files = [cascade.path / "plans" / f"{name}.json" for name in ("plan", *plans)]
    results = []

    def one(device: Device, name: str, plan: Plan, kill_at: int | None = None) -> None:
        def before_row(row: int) -> None:
            if row == kill_at:
                status_console.print(f"  killing the cloud process at row {row}")
                cluster.kill(network.tiers[-1].name)

        device.switch(plan)
        result = run_live(device, inputs, labels, name, before_row)
        result.save(cascade.path / "runs" / f"{name}.json")
        results.append(result)
        say(
            f"  {name}: {len(result)} answered, accuracy {result.accuracy:.1%}, mean "
            f"{result.mean_latency_s * 1e3:.1f} ms, {result.degraded_rows} degraded"
        )

    with ExitStack() as stack:
        cluster = stack.enter_context(LocalCluster(cascade.path, plan_files, network))
        device = stack.enter_context(
            Device(cascade, search.plan, cluster.upstream_address, tier=tier.name, slow_down=tier.slow_down)
        )
        one(device, "plan", search.plan)
        for name in (f"{network.tiers[0].name}-only", f"{network.tiers[-1].name}-only"):
            one(device, name, plans[name])
        one(device, "cloud killed", search.plan, kill_at=len(labels) // 2)
    return results


def _summary(
    cascade: Cascade,
    records: Records,
    search: SearchResult,
    runs: list[RunResult],
    network: Network,
    profiles: dict[str, Profile],
    output: Path,
    seconds: float,
) -> None:
    from offramp.reporting.report import ReportData, write_report
    from offramp.reporting.terminal import runs_table

    _step(6, "report")
    report = output / "report.html"
    write_report(
        report,
        ReportData(
            title=f"{cascade.name} on device, edge and cloud",
            manifest=cascade.manifest,
            records=records,
            search=search,
            runs=tuple(runs),
            network=network,
            profiles=tuple(profiles.values()),
        ),
    )
    console.print(runs_table(tuple(runs)))
    say(f"report: {report}  ({seconds:.0f} s in all)")
