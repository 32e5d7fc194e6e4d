"""``offramp replay``: a policy over records."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from offramp.cli.common import GateKind, console, print_json, progress_bar
from offramp.cli.replaying import FeedbackName, Prices, Samples, prepare, telling_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from offramp.policies.shuffled import Outcome, Reference, Telling

__all__ = ["replay"]


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
    label_share: float = typer.Option(
        0.0, help="Of the samples the last exit answered; told the truth of, with audits."
    ),
    delay: int = typer.Option(0, help="Samples that pass before feedback arrives."),
    layer_costs: str | None = typer.Option(None, help="Of computing up to each exit, in mistakes: 0.01,0.05."),
    latency_s: str | None = typer.Option(None, help="From arrival to the answer of each exit, in seconds: 0.01,0.2."),
    deadline_s: float | None = typer.Option(None, help="With --latency-s: an answer after it is late, a mistake."),
    late_price: float | None = typer.Option(None, help="Of a late answer besides its mistake, in mistakes."),
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
    from offramp.policies.registry import policy_named
    from offramp.policies.shuffled import over_shuffles, references

    kind = policy_named(policy)
    prices = Prices(
        price, network, mistake_s, layer_costs, mistake_costs, budget, latency_s, deadline_s, late_price
    )  # fmt: skip
    case = prepare(kind, Samples(cascade, records, split, exit_, plan, gate, published), prices)
    telling = telling_of(kind, feedback, audit_share, label_share, delay)
    problem = (case.setting, case.stream, case.costs, shuffles, seed)
    with progress_bar("replaying") as progress:
        outcome = over_shuffles(kind, *problem, telling=telling, published=published, progress=progress)
    known = references(case.stream, case.costs, published=published)
    if json:
        asked = {"policy": policy, "cascade": case.name, "split": split, "rows": len(case.stream)}
        asked |= {"exits": case.stream.exits, "shuffles": shuffles, "seed": seed, "price": case.setting.price}
        asked |= {"layer_costs": case.setting.layer_costs, "deadline_s": deadline_s, "sees": case.sees}
        print_json(asked | _told(telling) | {"published": published, "how": "replayed"} | _numbers(outcome, known))
        return
    from offramp.reporting.policies import policy_table

    where = f"{case.name}, {len(case.stream):,} {split} rows, price {case.setting.price:.3g}"
    console.print(policy_table(policy, outcome, known, where))


def _told(telling: Telling) -> dict[str, object]:
    return {
        "feedback": telling.feedback.name.lower(),
        "audit_share": telling.audit_share,
        "label_share": telling.label_share,
        "delay": telling.delay,
    }


def _numbers(outcome: Outcome, known: Sequence[Reference]) -> dict[str, object]:
    """Per sample, costs in units of one mistake."""
    from dataclasses import asdict

    from offramp.policies.regret import Band

    names = ("cost", "accuracy", "went_on", "audited", "labelled")
    return {
        **{name: asdict(Band.of(getattr(outcome, name))) for name in names},
        "references": [asdict(one) for one in known],
        "regret": {one.name: asdict(outcome.regret(one.cost)) for one in known if one.name in ("fixed", "oracle")},
    }
