"""``offramp plan``: where each part runs and when to stop."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from offramp.cli.common import GateKind, console, fit_kind, load_profiles, print_json, records_file, say

if TYPE_CHECKING:
    from offramp.planning.objective import Weights

__all__ = ["plan", "plan_files"]

Goal = Literal["latency", "latency_quantile", "energy", "bytes", "price", "weighted"]


def plan_files(output: Path) -> tuple[Path, Path]:
    """The plan's file and, beside it, the whole search result."""
    return output, output.with_suffix(".search.json")


def plan(
    cascade: Path = typer.Argument(..., help="The folder NAME.cascade."),
    network: Path = typer.Option(..., help="Network file: tiers and links."),
    minimise: Goal = typer.Option("latency", help="What to make small, of a sample on average."),
    quantile: float = typer.Option(0.95, help="For latency_quantile: the share of the samples it speaks of."),
    weight: list[str] | None = typer.Option(
        None, help="For weighted: NAME=NUMBER of latency_s, energy_j, bytes, price."
    ),
    accuracy_loss: float = typer.Option(0.01, min=0.0, max=1.0, help="Accuracy that may be lost."),
    confidence: float | None = typer.Option(None, help="Certify the loss with this probability, say 0.95."),
    gate: GateKind = typer.Option("max_probability", help="What decides at an exit; fitted on half of the tune rows."),
    deadline_ms: float | None = typer.Option(None, help="Latency no sample may exceed."),
    deadline_quantile: float = typer.Option(1.0, help="Share of the samples that must meet the deadline."),
    arrival_hz: float | None = typer.Option(None, help="Samples per second that every tier and link must sustain."),
    pin: list[str] | None = typer.Option(None, help="SEGMENT=TIER or SEGMENT!=TIER, such as 0=device."),
    input_stays: bool = typer.Option(False, "--input-stays", help="The raw input never leaves the first tier."),
    records: list[Path] | None = typer.Option(
        None, help="Records file; more of them are variants to choose from. Default: CASCADE/records/fp32.parquet."
    ),
    output: Path | None = typer.Option(None, help="Plan file; default: CASCADE/plans/plan.json."),
    explain: bool = typer.Option(False, "--explain", help="Also print the terms of the latency and the front."),
    json: bool = typer.Option(False, "--json", help="Print the search result as JSON."),
) -> None:
    """Find the exact best plan, and say why others lost."""
    from pydantic import ValidationError

    from offramp.cascade.store import open_cascade
    from offramp.errors import ConfigError
    from offramp.links.network import load_network
    from offramp.planning.objective import Objective
    from offramp.planning.search import search
    from offramp.records.records import load_records
    from offramp.reporting.terminal import explain_table, plan_table

    opened = open_cascade(cascade)
    loaded = load_network(network)
    try:
        objective = Objective(
            minimise=minimise,
            accuracy_loss=accuracy_loss,
            confidence=confidence,
            deadline_s=None if deadline_ms is None else deadline_ms / 1e3,
            deadline_quantile=deadline_quantile,
            quantile=quantile,
            weights=_weights(weight),
            arrival_hz=arrival_hz,
            pins=pin or (),
            input_stays=input_stays,
        )
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        message = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"{where}: {message}" if where else message) from error
    evidence = [load_records(file) for file in records or [records_file(cascade, None)]]
    for one in evidence:
        one.require(opened.manifest.fingerprint)
    profiles = load_profiles(cascade, loaded.tier_names)
    degrees = opened.manifest.calibration.temperatures
    gates = fit_kind(gate, evidence[0], degrees)
    found = search(
        evidence, profiles, loaded, objective, temperatures=degrees, gates=gates, sensitivity=explain or json
    )
    plan_file, search_file = plan_files(output or cascade / "plans" / "plan.json")
    found.plan.save(plan_file)
    found.save(search_file)
    if json:
        print_json({"plan_id": found.plan.plan_id, **found.model_dump(mode="json")})
        return
    console.print(plan_table(found))
    say(found.why)
    say(f"codec {found.plan.codec}, {found.plan.variant}")
    if found.plan.certificate is not None:
        say(found.plan.certificate.statement())
    if explain:
        console.print(explain_table(found))
    say(f"plan {found.plan.plan_id} -> {plan_file}")


def _weights(given: list[str] | None) -> Weights | None:
    """``latency_s=1`` and the like as weights."""
    from offramp.errors import ConfigError
    from offramp.planning.objective import Weights

    if not given:
        return None
    pairs = [text.partition("=") for text in given]
    for text, (name, _, value) in zip(given, pairs, strict=True):
        if name not in Weights.model_fields or not _is_number(value):
            raise ConfigError(f"--weight {text!r}: write NAME=NUMBER, NAME one of {', '.join(Weights.model_fields)}")
    return Weights(**{name: float(value) for name, _, value in pairs})


def _is_number(text: str) -> bool:
    try:
        return float(text) >= 0
    except ValueError:
        return False
