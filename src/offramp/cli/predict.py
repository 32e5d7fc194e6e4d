"""Predicted profiles on the command line: fitting what operators cost, and using it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from offramp.cli.common import console, print_json, say, status_console

if TYPE_CHECKING:
    from rich.table import Table

    from offramp.cascade.store import Cascade
    from offramp.links.network import Tier
    from offramp.profiles.prediction_error import PredictionError
    from offramp.profiles.profile import Profile

__all__ = ["errors_table", "fit_costs", "predict_tiers"]


def fit_costs(cascade: Cascade, file: Path, data: str | None, codecs: Sequence[str], json: bool) -> None:
    """Measure a cascade's operators, and single ones the first time, add them to a file of costs, fit, and print
    the errors of cross-validation."""
    from offramp.cascade.operator_bench import operator_models
    from offramp.cli.profile import sample_rows
    from offramp.profiles.measure_operators import measure_cascade_operators, measure_models
    from offramp.profiles.operator_costs import fit_operator_costs, load_operator_costs
    from offramp.profiles.prediction_error import operator_errors, segment_errors
    from offramp.runtime.probe import measure_transport

    before = load_operator_costs(file).measured if file.exists() else ()
    fingerprint = cascade.manifest.fingerprint
    kept = [each for each in before if each.cascade_fingerprint != fingerprint]
    samples = sample_rows(cascade, data)
    if all(each.is_cascade for each in kept):
        with status_console.status("  measuring single operators"):
            kept.insert(0, measure_models(operator_models()))
    with status_console.status(f"  measuring the operators of {cascade.name}"):
        hop_s = measure_transport(cascade.path).hop_s
        kept.append(measure_cascade_operators(cascade.path, hop_s=hop_s, codecs=codecs, samples=samples))
    costs = fit_operator_costs(kept)
    costs.save(file)
    of_operators, of_segments = operator_errors(kept), segment_errors(kept)
    if json:
        print_json({"operators": [asdict(e) for e in of_operators], "segments": [asdict(e) for e in of_segments]})
        return
    console.print(
        errors_table(
            "Operators: error of predicted seconds",
            of_operators,
            "measured; 5-fold, equal shapes in one fold; sum of errors over sum of seconds",
        )
    )
    console.print(
        errors_table(
            "Segments: error of the predicted median",
            of_segments,
            "measured processor time; each cascade predicted from the others and single operators; mean relative error",
        )
    )
    say(f"costs of {len(kept)} measurements -> {file}")


def predict_tiers(
    cascade: Cascade, tiers: Sequence[Tier], costs_file: Path, data: str | None, codecs: Sequence[str]
) -> dict[str, Profile]:
    """Predict the profile of every tier and store it in the cascade."""
    from offramp.cli.profile import sample_rows
    from offramp.profiles.carry import profile_file
    from offramp.profiles.operator_costs import load_operator_costs
    from offramp.profiles.predict import predict_profile
    from offramp.runtime.probe import measure_transport

    costs = load_operator_costs(costs_file)
    samples = sample_rows(cascade, data)
    transport = measure_transport(cascade.path)
    profiles = {
        tier.name: predict_profile(
            cascade.path,
            costs,
            tier.name,
            transport=transport,
            slow_down=tier.slow_down,
            codecs=codecs,
            samples=samples,
        )
        for tier in tiers
    }
    for name, predicted in profiles.items():
        predicted.save(profile_file(cascade.path, name))
    return profiles


def errors_table(title: str, errors: Sequence[PredictionError], caption: str) -> Table:
    """FLOPs times a factor, the published features and ours, one row for each kind of work."""
    from offramp.reporting.terminal import plain_table

    head = ["", "count", "ms", "FLOPs x factor", "published features", "offramp", "worst"]
    table = plain_table(title, head, caption=caption)
    for error in errors:
        shares = (_percent(each) for each in (error.flops, error.published, error.fitted, error.worst))
        table.add_row(error.name, str(error.count), f"{error.seconds * 1e3:.2f}", *shares)
    return table


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.0%}"
