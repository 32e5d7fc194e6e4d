"""The tables of the report."""

from __future__ import annotations

from offramp.planning.result import SearchResult
from offramp.reporting.data import ReportData
from offramp.reporting.numbers import beside, kilobytes, milliseconds, percent
from offramp.reporting.page import facts, table
from offramp.reporting.words import losing, placement_text
from offramp.runtime.run_result import RunResult

__all__ = ["provenance_table", "runners_up_table", "runs_table"]


def runs_table(runs: tuple[RunResult, ...], exit_names: tuple[str, ...]) -> str:
    """HTML: one line per run, measured beside predicted."""
    head = [
        "run",
        "how",
        "rows",
        "accuracy",
        "mean ms",
        "p50 ms (predicted)",
        "p95 ms (predicted)",
        "sent per sample",
        f"% at exit {' / '.join(exit_names)}",
        f"% on {' / '.join(runs[0].tiers)}",
        "degraded",
    ]
    return table(head, [_run_row(run) for run in runs], text_columns=(0, 1))


def _run_row(run: RunResult) -> list[str]:
    predicted = run.plan.predicted
    return [
        run.name,
        run.how,
        f"{len(run):,}",
        percent(run.accuracy),
        milliseconds(run.mean_latency_s, unit=False),
        beside(run.latency_quantile_s(0.5), predicted.p50_latency_s if predicted else None),
        beside(run.latency_quantile_s(0.95), predicted.p95_latency_s if predicted else None),
        kilobytes(run.bytes_per_sample),
        " / ".join(f"{100 * share:.0f}" for share in run.exit_share),
        " / ".join(f"{100 * share:.0f}" for share in run.tier_share.values()),
        f"{run.degraded_rows:,}",
    ]


def runners_up_table(search: SearchResult) -> str:
    """HTML: the plans that lost, and why."""
    rows = []
    for candidate in losing(search):
        predicted = candidate.plan.predicted
        rows.append(
            [
                candidate.name,
                placement_text(candidate.plan.placement),
                milliseconds(predicted.mean_latency_s if predicted else None),
                milliseconds(predicted.p95_latency_s if predicted else None),
                percent(predicted.accuracy if predicted else None),
                candidate.reason,
            ]
        )
    return table(["plan", "placement", "mean", "p95", "accuracy", "why it lost"], rows, text_columns=(0, 1, 5))


def provenance_table(data: ReportData) -> str:
    """HTML: what everything in the report was made from."""
    manifest, plan = data.manifest, data.search.plan if data.search else None
    made = manifest.provenance
    rows = [
        ("cascade", f"{manifest.name}, fingerprint {manifest.fingerprint}"),
        ("built", f"{made.created_utc}, {made.command}" + (f", seed {made.seed}" if made.seed is not None else "")),
        ("calibration", f"{manifest.calibration.method}, fitted on {manifest.calibration.fitted_on or 'nothing'}"),
    ]
    if made.versions:
        rows.append(("versions", _versions(made.versions)))
    if made.commit:
        rows.append(("commit", made.commit))
    if data.records:
        source = data.records.provenance
        rows.append(("data", f"{source.data}, sha256 {source.data_sha256}, split seed {source.split_seed}"))
        rows.append(("records", f"{len(data.records):,} rows, {source.variant}, {source.engine}, {source.created_utc}"))
    if plan:
        rows.append(("plan", f"{plan.plan_id}, codec {plan.codec}, {plan.variant}, by {plan.planner}"))
    if plan and plan.evidence:
        seen = plan.evidence
        rows.append(("search", f"{seen.settings:,} gate settings x {seen.placements} placements, exact on that grid"))
    if data.network:
        rows.append(("network", data.network.name))
    for profile in data.profiles:
        machine = profile.machine
        rows.append(
            (
                f"profile {profile.tier}",
                f"{profile.how} on {machine.cpu}, {machine.cores} cores, {machine.system}, "
                f"slowed down {profile.slow_down:g}x, {_versions(machine.versions)}, {profile.created_utc}",
            )
        )
    return facts(rows)


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(versions.items()))
