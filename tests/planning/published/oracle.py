"""Costs of a plan and scans as loops, for the tests of published planners."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from offramp.confidence.settings import evaluate
from offramp.planning.costs import cost_table
from offramp.planning.plan import Plan
from offramp.planning.replay import plan_thresholds
from offramp.profiles.profile import PayloadCost, Profile
from offramp.records.confidences import confidences
from offramp.records.records import Records
from tests.support.instances import Instance


def tune_latency(case: Instance, plan: Plan, records: Records | None = None) -> tuple[float, float]:
    """Mean latency and accuracy of a plan on the tune rows."""
    tune = (records or case.records).on("tune")
    share, accuracy = evaluate(confidences(tune, plan.temperatures), tune.correct, plan_thresholds(plan)[None])
    table = cost_table(case.profiles, case.network, plan.codec, tune.exits, precision=plan.precision, coded=plan.coded)
    return float(share[0] @ table.cost_s[table.row_of(plan.placement)]), float(accuracy[0])


def cuts(segments: int, first: str, last: str) -> list[tuple[str, ...]]:
    """Placements with one cut between two tiers."""
    return [(first,) * p + (last,) * (segments - p) for p in range(segments + 1)]


def cost_of(case: Instance, placement: Sequence[str], codec: str, exit_: int) -> float:
    """Seconds of a sample that leaves by an exit."""
    table = cost_table(case.profiles, case.network, codec, case.records.exits)
    return float(table.cost_s[table.row_of(placement), exit_])


def coded_variant(case: Instance, codec: str, cut: int, worse: float, size: float, seed: int = 0) -> Instance:
    """The same case with one more variant of records, and profiles that know its codec at its cut."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, worse, case.records.logits.shape).astype(np.float32)
    provenance = replace(case.records.provenance, variant=f"fp32+{codec}@{cut}")
    records = replace(case.records, logits=case.records.logits + noise, provenance=provenance)
    return replace(
        case, records=records, profiles={n: _with_codec(p, codec, cut, size) for n, p in case.profiles.items()}
    )


def _with_codec(profile: Profile, codec: str, cut: int, size: float) -> Profile:
    own = PayloadCost(cut=cut, codec=codec, payload_bytes=size, encode_s=1e-5, decode_s=1e-5)
    return profile.model_copy(update={"payloads": (*profile.payloads, own)})
