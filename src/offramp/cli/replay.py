"""``offramp replay``: a policy over records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import typer

from offramp.cli.common import GateKind, console, print_json, progress_bar, records_file

if TYPE_CHECKING:
    from collections.abc import Sequence

    from offramp.cascade.manifest import Manifest
    from offramp.policies.setting import Setting
    from offramp.policies.shuffled import Outcome, Reference
    from offramp.policies.stream import Stream
    from offramp.records.records import Records

__all__ = ["replay"]

FeedbackName = Literal["nothing", "answers", "audits", "truth"]


def replay(
    cascade: Path = typer.Argument(..., help="The folder NAME.cascade."),
    policy: str = typer.Option(..., help="Name of an installed policy."),
    price: float | None = typer.Option(None, help="Of going on, in units of one mistake; in [0, 1)."),
    network: Path | None = typer.Option(
        None, help="In the place of --price: the first link of this network file, crossed by the tensors as they are."
    ),
    mistake_s: float | None = typer.Option(None, help="With --network: seconds one would wait to avoid a mistake."),
    shuffles: int = typer.Option(20, help="Orders of the rows to replay."),
    seed: int = typer.Option(0, help="Of the orders, the policy and the audits."),
    records: Path | None = typer.Option(None, help="Records file; default: CASCADE/records/fp32.parquet."),
    split: str = typer.Option("test", help="Rows to replay; the tune rows are for the policy to begin from."),
    exit_: int | None = typer.Option(
        None, "--exit", help="Only this early exit against the last one; default: all exits."
    ),
    plan: Path | None = typer.Option(None, help="A plan whose gates and thresholds the policy begins from."),
    gate: GateKind | None = typer.Option(None, help="What the policy sees at an exit; default: what it is made for."),
    feedback: FeedbackName = typer.Option("answers", help="What there is to tell it."),
    audit_share: float = typer.Option(0.02, help="Of the samples that stop early; where audits are told."),
    delay: int = typer.Option(0, help="Samples that pass before feedback arrives."),
    mistake_costs: tuple[float, float] = typer.Option(
        (1.0, 1.0), help="Of answering 1 where it is 0, and 0 where it is 1; of two classes."
    ),
    budget: float | None = typer.Option(None, help="Going on allowed per sample, for policies that keep to one."),
    published: bool = typer.Option(False, "--published", help="Take the last exit for always right, as papers do."),
    json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """What a policy would have cost: accuracy, offloads, regret.

    Costs are in mistakes per 100 samples. The policy may begin from the tune rows; it is told what it asks for, and
    refused more than --feedback."""
    from dataclasses import replace

    from offramp.cascade.store import open_cascade
    from offramp.policies.base import FeedbackKind
    from offramp.policies.costs import Costs
    from offramp.policies.registry import policy_named
    from offramp.policies.shuffled import Telling, over_shuffles, references
    from offramp.records.records import load_records

    kind = policy_named(policy)
    manifest = open_cascade(cascade).manifest
    evidence = load_records(records_file(cascade, records))
    evidence.require(manifest.fingerprint)
    sees: GateKind = gate or getattr(kind, "reads", None) or "max_probability"
    paid = _price(price, network, mistake_s, manifest, exit_ or 0)
    stream, setting = _problem(evidence, manifest, split, paid, sees, plan, exit_, published)
    setting = replace(setting, budget=budget, mistake_costs=mistake_costs)
    costs = Costs.of_setting(setting)
    telling = Telling(FeedbackKind[feedback.upper()], audit_share, delay)
    with progress_bar("replaying") as progress:
        outcome = over_shuffles(
            kind, setting, stream, costs, shuffles, seed, telling=telling, published=published, progress=progress
        )
    known = references(stream, costs, published=published)
    if json:
        print_json(
            {
                "policy": policy,
                "cascade": manifest.name,
                "split": split,
                "rows": len(stream),
                "exits": stream.exits,
                "shuffles": shuffles,
                "seed": seed,
                "price": paid,
                "sees": sees,
                "feedback": feedback,
                "published": published,
                "how": "replayed",
                **_numbers(outcome, known),
            }
        )
        return
    from offramp.reporting.policies import policy_table

    console.print(
        policy_table(policy, outcome, known, f"{manifest.name}, {len(stream):,} {split} rows, price {paid:.3g}")
    )


def _price(
    price: float | None, network: Path | None, mistake_s: float | None, manifest: Manifest, exit_index: int
) -> float:
    """The one given, or what the tensors behind an exit cost on the first link."""
    from offramp.cascade.cuts import row_bytes
    from offramp.errors import ConfigError
    from offramp.links.network import load_network
    from offramp.policies.pricing import MistakeWorth, prices_over

    if (price is None) == (network is None) or (network is None) != (mistake_s is None):
        raise ConfigError("say what going on costs: --price, or --network together with --mistake-s")
    if price is not None:
        return price
    assert network is not None
    links = load_network(network).links
    if not links:
        raise ConfigError(f"{network.name}: the network has no link that a price could come from; give --price")
    early = len(manifest.exit_segments) - 1
    if not 0 <= exit_index < early:
        raise ConfigError(f"there is no early exit {exit_index}; {manifest.name!r} has {early}")
    payload = row_bytes(manifest.tensors_at(manifest.exit_segments[exit_index] + 1))
    if payload is None:
        raise ConfigError("the tensors that go on have no fixed size, so their bytes are not known; give --price")
    return float(prices_over(links[0], [payload], MistakeWorth(latency_s=mistake_s))[0])


def _numbers(outcome: Outcome, known: Sequence[Reference]) -> dict[str, object]:
    """Per sample, costs in units of one mistake."""
    from dataclasses import asdict

    from offramp.policies.regret import Band

    names = ("cost", "accuracy", "went_on", "audited")
    return {
        **{name: asdict(Band.of(getattr(outcome, name))) for name in names},
        "references": [asdict(one) for one in known],
        "regret": {one.name: asdict(outcome.regret(one.cost)) for one in known if one.name in ("fixed", "oracle")},
    }


def _problem(
    evidence: Records,
    manifest: Manifest,
    split: str,
    price: float,
    sees: GateKind,
    plan: Path | None,
    exit_index: int | None,
    published: bool,
) -> tuple[Stream, Setting]:
    """The samples, and what the policy starts from."""
    from offramp.cli.common import fit_kind
    from offramp.errors import ConfigError, NotEnoughSamples
    from offramp.planning.plan import load_plan
    from offramp.policies.setting import Setting
    from offramp.policies.stream import stream_of
    from offramp.policies.two_stage import two_stage
    from offramp.records.fit_gates import choosing_rows

    if split == "tune":
        raise ConfigError("the tune rows are what the policy begins from; replay calibrate or test rows")
    degrees = manifest.calibration.temperatures
    thresholds: tuple[float | None, ...] = (None,) * (evidence.exits - 1)
    if plan is None:
        gates = fit_kind(sees, evidence, degrees)
    else:
        followed = load_plan(plan)
        followed.require(manifest.fingerprint)
        degrees, thresholds, gates = followed.temperatures, followed.thresholds, followed.scores or None
    stream = stream_of(evidence.on(split), temperatures=degrees, gates=gates)
    try:
        tune = stream_of(choosing_rows(evidence, gates), temperatures=degrees, gates=gates)
    except NotEnoughSamples:  # a policy that needs them says so
        tune = None
    if exit_index is not None:
        stream, tune = two_stage(stream, exit_index), None if tune is None else two_stage(tune, exit_index)
        thresholds = thresholds[exit_index : exit_index + 1]
    if tune is not None and published:
        tune = tune.published()
    rows = None if tune is None else tune.labelled
    return stream, Setting(thresholds, price, horizon=len(stream), classes=evidence.classes, rows=rows)
