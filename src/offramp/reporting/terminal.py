"""Tables for the command line, 80 columns wide."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from offramp.planning.plan import Plan
from offramp.planning.result import SearchResult
from offramp.reporting.calibration import ExitCalibration
from offramp.reporting.numbers import beside, kilobytes, milliseconds, percent
from offramp.reporting.terms import grouped_terms
from offramp.reporting.words import binding_sentence, losing, placement_text, sensitivity_sentence
from offramp.runtime.run_result import RunResult

__all__ = ["calibration_table", "explain_table", "plain_table", "plan_table", "runs_table"]


_FRONT_LINES = 15


def plain_table(title: str, head: Sequence[str], text_columns: Sequence[int] = (0,), caption: str = "") -> Table:
    """An empty table in the house style; columns not in ``text_columns`` hold numbers."""
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption=caption or None,
        caption_justify="left",
        caption_style="dim",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for column, name in enumerate(head):
        text = column in text_columns
        table.add_column(name, justify="left" if text else "right", overflow="fold", no_wrap=not text)
    return table


def plan_table(search: SearchResult) -> Group:
    """The chosen plan, the runners-up and the one-tier plans; below them why each lost.

    Why the chosen one won is ``search.why``.
    """
    modelled = search.plan.predicted is not None and search.plan.predicted.energy_j is not None
    table = plain_table(
        "Plans",
        ["plan", "segments on", "accuracy", "mean ms", "p95 ms", "kB", *(["mJ"] if modelled else [])],
        text_columns=(0, 1),
        caption="replayed: accuracy and shares on held-out rows, seconds and kB sent from profiles and network"
        + ("; mJ of the first tier: modelled" if modelled else ""),
    )
    table.add_row(*_plan_cells("chosen", search.plan), style="bold")
    reasons = []
    for candidate in losing(search):
        table.add_row(*_plan_cells(candidate.name, candidate.plan))
        reasons.append(Text.assemble((f"{candidate.name}: ", "bold"), candidate.reason))
    return Group(table, *reasons)


def _plan_cells(name: str, plan: Plan) -> list[str]:
    predicted = plan.predicted
    return [
        name,
        placement_text(plan.placement),
        percent(predicted.accuracy if predicted else None),
        milliseconds(predicted.mean_latency_s if predicted else None, unit=False),
        milliseconds(predicted.p95_latency_s if predicted else None, unit=False),
        kilobytes(predicted.bytes_per_sample if predicted else None, unit=False),
        *([f"{1e3 * predicted.energy_j:.3g}"] if predicted and predicted.energy_j is not None else []),
    ]


def explain_table(search: SearchResult) -> Group:
    """Where the mean latency goes, the front between latency and accuracy, what binds and what would change it."""
    words = [binding_sentence(search), sensitivity_sentence(search)]
    return Group(_terms_table(search), _front_table(search), *(Text(text) for text in words if text))


def _terms_table(search: SearchResult) -> Table:
    """One line per term, one column for the plan and each one-tier plan."""
    named = [("chosen", search.plan), *((end.name, end.plan) for end in search.endpoints)]
    columns = {name: grouped_terms(plan.predicted.terms) if plan.predicted else {} for name, plan in named}
    table = plain_table(
        "Where the time goes (mean ms)",
        ["", *columns],
        caption="replayed: shares on held-out rows, seconds from profiles and network",
    )
    for term in dict.fromkeys(term for terms in columns.values() for term in terms):
        table.add_row(term, *(_term_cell(terms.get(term, 0.0)) for terms in columns.values()))
    table.add_section()
    totals = (milliseconds(sum(terms.values()), unit=False) for terms in columns.values())
    table.add_row("all", *totals, style="bold")
    return table


def _front_table(search: SearchResult) -> Table:
    """The front from fast to accurate, thinned evenly to what a screen holds."""
    table = plain_table(
        "Front",
        ["mean ms", "accuracy", "segments on", "thresholds", "codec"],
        text_columns=(2, 3, 4),
        caption="replayed on the tune rows",
    )
    front = sorted(search.front, key=lambda point: point.mean_latency_s)
    step = max(1, -(-len(front) // _FRONT_LINES))
    for point in [*front[:-1:step], *front[-1:]]:
        table.add_row(
            milliseconds(point.mean_latency_s, unit=False),
            percent(point.accuracy),
            placement_text(point.placement),
            " ".join("off" if t is None else f"{t:.3f}" for t in point.thresholds),
            point.codec if point.variant == "fp32" else f"{point.codec}, {point.variant}",
        )
    return table


def _term_cell(seconds: float) -> str:
    return milliseconds(seconds, unit=False) if seconds else "·"


def runs_table(runs: Sequence[RunResult]) -> Table:
    """One line per run, measured beside predicted."""
    exits = "/".join(str(index) for index in range(len(runs[0].plan.temperatures))) if runs else ""
    table = plain_table(
        "Runs",
        ["run", "accuracy", "p50 ms\n(pred.)", "p95 ms\n(pred.)", "kB sent", f"% at exit\n{exits}", "degraded"],
        caption="measured on the device from asking to answer; (pred.): replayed by the plan of the run",
    )
    table.columns[0].min_width = 12
    for run in runs:
        predicted = run.plan.predicted
        table.add_row(
            run.name,
            percent(run.accuracy),
            beside(run.latency_quantile_s(0.5), predicted.p50_latency_s if predicted else None),
            beside(run.latency_quantile_s(0.95), predicted.p95_latency_s if predicted else None),
            kilobytes(run.bytes_per_sample, unit=False),
            "/".join(f"{100 * share:.0f}" for share in run.exit_share),
            str(run.degraded_rows),
        )
    return table


def calibration_table(exits: Sequence[ExitCalibration], where: str) -> Table:
    """Accuracy, temperature and calibration error of every exit; ``where`` names the rows."""
    table = plain_table(
        "Calibration",
        ["exit", "accuracy", "temperature", "ECE before", "ECE after"],
        caption=f"replayed on {where}; ECE: mean distance of confidence and accuracy, 15 bins",
    )
    for exit_ in exits:
        table.add_row(
            exit_.name,
            percent(exit_.accuracy),
            f"{exit_.temperature:.3f}",
            percent(exit_.ece_before, 2),
            percent(exit_.ece_after, 2),
        )
    return table
