"""The sections of the report after the headline, each a figure or a table with its caption."""

from __future__ import annotations

from collections.abc import Iterator

from offramp.cascade.manifest import Manifest
from offramp.planning.plan import Plan
from offramp.planning.result import SearchResult
from offramp.records.records import Records
from offramp.reporting.calibration import calibration_of
from offramp.reporting.data import ReportData
from offramp.reporting.figures.front import front_figure
from offramp.reporting.figures.latency import latency_figure
from offramp.reporting.figures.reliability import reliability_figure
from offramp.reporting.figures.shares import ShareBar, shares_figure
from offramp.reporting.figures.terms import terms_figure
from offramp.reporting.numbers import percent
from offramp.reporting.page import figure_html, section, table
from offramp.reporting.tables import provenance_table, runners_up_table, runs_table
from offramp.reporting.words import tier_shares
from offramp.runtime.run_result import RunResult

__all__ = ["front", "latency", "losers", "provenance", "reliability", "runs", "shares"]


def runs(results: tuple[RunResult, ...], manifest: Manifest) -> str:
    """The summary table."""
    return section(
        "The runs",
        runs_table(results, manifest.exit_names),
        caption=(
            "How: as the second column says; measured means real processes, timed on the device from asking to "
            "answer. Predicted columns are replayed by the plan of that run. Sent is what left the device. "
            "Degraded answers came from an earlier exit than planned, because a tier did not answer."
        ),
    )


def front(search: SearchResult, tune: Records | None) -> str:
    """The Pareto front."""
    where = f"replayed on the {len(tune):,} tune rows" if tune is not None else "replayed"
    return section(
        "Accuracy against latency",
        figure_html(front_figure(search, tune), "front"),
        caption=(
            f"How: {where}, seconds from the profiles and the network. No plan is faster at the same accuracy than "
            "the front. The headline gives the plan's accuracy on held-out rows, so it may differ by chance."
        ),
    )


def latency(results: tuple[RunResult, ...]) -> str:
    """Predicted and measured latency distributions."""
    return section(
        "Latency, predicted and measured",
        figure_html(latency_figure(results), "latency"),
        caption=(
            "Share of the samples answered within a time. Solid: the run. Dashed: the plan's prediction, one step for "
            "every exit, with its share from held-out records and its seconds from profiles and network. "
            "The panels end at the slowest 99.5 % quantile of all runs."
        ),
    )


def reliability(test: Records, manifest: Manifest) -> str:
    """Reliability diagrams and the calibration table."""
    exits = calibration_of(test, manifest.calibration.temperatures)
    rows = [
        [e.name, percent(e.accuracy), f"{e.temperature:.3f}", percent(e.ece_before, 2), percent(e.ece_after, 2)]
        for e in exits
    ]
    head = ["exit", "accuracy", "temperature", "ECE before", "ECE after"]
    return section(
        "Is the confidence honest?",
        figure_html(reliability_figure(exits), "reliability"),
        table(head, rows),
        caption=(
            f"How: replayed on the {len(test):,} test rows, which fitted nothing. One temperature per exit "
            f"({manifest.calibration.method}, fitted on {manifest.calibration.fitted_on or 'nothing'}). "
            "ECE is the mean distance of confidence and accuracy over 15 equal bins. "
            "Points below the diagonal are too sure; bins of fewer than 5 rows are not drawn."
        ),
    )


def shares(data: ReportData) -> str:
    """Share per exit and tier."""
    bars = [ShareBar(run.name, run.exit_share.tolist(), run.tier_share) for run in data.runs]
    plan = data.search.plan if data.search else None
    if plan and plan.predicted:
        predicted = plan.predicted.exit_share
        bars.insert(0, ShareBar("predicted", predicted, tier_shares(plan, data.manifest.exit_segments, predicted)))
    return section(
        "Who answers",
        figure_html(shares_figure(bars, data.manifest.exit_names), "shares"),
        caption="Predicted: the chosen plan, replayed on held-out records. All other bars: counted in the runs.",
    )


def losers(search: SearchResult) -> Iterator[str]:
    """Latency terms, and the plans that lost."""
    plans: list[tuple[str, Plan]] = [("the plan", search.plan), *((end.name, end.plan) for end in search.endpoints)]
    if any(plan.predicted and plan.predicted.terms for _, plan in plans):
        yield section(
            "Where the time goes",
            figure_html(terms_figure(plans), "terms"),
            caption=(
                "Parts of the mean latency. How: replayed; compute, coding and messages as profiled on each tier, "
                "transfer and round trips as the network file declares."
            ),
        )
    if search.alternatives or search.endpoints:
        yield section(
            "The plans that lost",
            runners_up_table(search),
            caption=(
                "How: replayed on held-out records. One line per placement, each with its best gates under the same "
                "accuracy limit; then the one-tier plans."
            ),
        )


def provenance(data: ReportData) -> str:
    """What everything was made from."""
    return section("Where the numbers come from", provenance_table(data))
