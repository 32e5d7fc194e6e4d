"""``offramp report``: one self-contained HTML file."""

from __future__ import annotations

from pathlib import Path

import typer

from offramp.cli.common import records_file, say

__all__ = ["report"]


def report(
    cascade: Path = typer.Argument(..., help="The folder NAME.cascade."),
    run: list[Path] = typer.Option([], help="Run file; repeat for several. Default: all in CASCADE/runs."),
    network: Path | None = typer.Option(None, help="Network file the plan was made for."),
    plan: Path | None = typer.Option(None, help="Plan file; default: CASCADE/plans/plan.json."),
    records: Path | None = typer.Option(None, help="Records file; default: CASCADE/records/fp32.parquet."),
    output: Path = typer.Option(Path("report.html"), help="File to write."),
) -> None:
    """Write one HTML file: calibration, certificate, front, latency, shares."""
    from offramp.cascade.store import open_cascade
    from offramp.cli.certify import certificate_file, load_certificate
    from offramp.cli.plan import plan_files
    from offramp.links.network import load_network
    from offramp.planning.result import load_search_result
    from offramp.profiles.profile import load_profile
    from offramp.records.records import load_records
    from offramp.reporting.report import ReportData, write_report
    from offramp.runtime.run_result import load_run_result

    opened = open_cascade(cascade)
    _, search_file = plan_files(plan or cascade / "plans" / "plan.json")
    runs = list(run) or sorted((cascade / "runs").glob("*.json"))
    evidence = records_file(cascade, records)
    write_report(
        output,
        ReportData(
            title=f"{opened.name}: device, edge, cloud",
            manifest=opened.manifest,
            records=load_records(evidence) if records or evidence.is_file() else None,
            search=load_search_result(search_file) if plan or search_file.is_file() else None,
            runs=tuple(load_run_result(file) for file in runs),
            network=load_network(network) if network else None,
            profiles=tuple(load_profile(file) for file in sorted((cascade / "profiles").glob("*.json"))),
            certificate=load_certificate(certified) if (certified := certificate_file(cascade)).is_file() else None,
        ),
    )
    say(f"report -> {output}")
