"""The first section: the plan, what it costs, and why it won."""

from __future__ import annotations

from offramp.planning.plan import Plan, Prediction
from offramp.planning.result import SearchResult
from offramp.reporting.chain import chain_svg
from offramp.reporting.data import ReportData
from offramp.reporting.numbers import kilobytes, milliseconds, percent, times
from offramp.reporting.page import cards, paragraph, section, table
from offramp.reporting.words import binding_sentence, loss_text, plan_sentence, sentence

__all__ = ["headline"]


def headline(data: ReportData) -> str:
    """HTML of the headline, or of the notes alone where there is no plan."""
    notes = [paragraph(note, "note") for note in data.notes]
    if data.search is None:
        text = paragraph("No plan yet: this report shows the cascade alone.", "lead")
        return section("The cascade", text, *notes)
    search = data.search
    parts = [paragraph(plan_sentence(search, data.manifest.exit_segments), "lead"), *notes]
    if search.plan.predicted:
        parts.append(cards(_key_figures(search, search.plan.predicted)))
    parts.append(chain_svg(search.plan, data.manifest, data.network))
    parts += [paragraph(sentence(search.why)), paragraph(binding_sentence(search)), _against_endpoints(search)]
    return section("The plan", *parts, caption=_caption(search.plan))


def _key_figures(search: SearchResult, predicted: Prediction) -> list[tuple[str, str, str]]:
    first = predicted.exit_share[:-1]
    return [
        ("mean latency", milliseconds(predicted.mean_latency_s), _against(search)),
        (
            "95 % answered within",
            milliseconds(predicted.p95_latency_s),
            f"half within {milliseconds(predicted.p50_latency_s)}",
        ),
        ("accuracy", percent(predicted.accuracy), loss_text(predicted.accuracy_loss)),
        ("sent per sample", kilobytes(predicted.bytes_per_sample), f"codec {search.plan.codec}"),
        ("leave early", percent(sum(first), 0), f"{len(first)} early exit{'s' if len(first) != 1 else ''}"),
    ]


def _against(search: SearchResult) -> str:
    rivals = [(p.mean_latency_s, end.name) for end in search.endpoints if (p := end.plan.predicted)]
    if not rivals:
        return ""
    latency_s, name = min(rivals)
    return f"{name}: {milliseconds(latency_s)}"


def _against_endpoints(search: SearchResult) -> str:
    chosen = search.plan.predicted
    rows = [_row("the plan", search.plan, None)]
    rows += [_row(end.name, end.plan, chosen.mean_latency_s if chosen else None) for end in search.endpoints]
    head = ["", "accuracy", "mean", "p50", "p95", "sent per sample", "the plan is faster by"]
    return table(head, rows, mark=0)


def _row(name: str, plan: Plan, chosen_s: float | None) -> list[str]:
    predicted = plan.predicted
    if predicted is None:
        return [name, *["–"] * 6]
    return [
        name,
        percent(predicted.accuracy),
        milliseconds(predicted.mean_latency_s),
        milliseconds(predicted.p50_latency_s),
        milliseconds(predicted.p95_latency_s),
        kilobytes(predicted.bytes_per_sample),
        times(predicted.mean_latency_s / chosen_s) if chosen_s else "",
    ]


def _caption(plan: Plan) -> str:
    rows = f"{plan.predicted.rows:,} held-out calibrate rows" if plan.predicted else "no rows"
    part = "certified the gates" if plan.certificate else "chose nothing"
    return (
        f"How: replayed. Shares and accuracy come from {rows} that {part}; seconds come from "
        "the tiers' profiles and the network. A sample leaves at an exit when its confidence (highest probability at "
        "the exit's temperature) reaches the number in brackets."
    )
