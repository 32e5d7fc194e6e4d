"""A plan from a decision: who runs what, and when to stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from offramp.errors import RecordMismatch
from offramp.links.network import Network
from offramp.planning.costs import cost_table
from offramp.planning.gate_spec import GateSpec
from offramp.planning.objective import Objective
from offramp.planning.plan import Evidence, Plan
from offramp.planning.replay import predict
from offramp.profiles.profile import Profile
from offramp.records.records import Records
from offramp.records.variant import VariantName

__all__ = ["exit_temperatures", "make_plan", "whole_request"]


def make_plan(
    records: Records,
    profiles: Mapping[str, Profile] | Sequence[Profile],
    network: Network,
    objective: Objective,
    *,
    placement: Sequence[str],
    thresholds: Sequence[float | None],
    codec: str = "raw",
    planner: str,
    temperatures: Sequence[float] | None = None,
    reference: Records | None = None,
    settings: int = 1,
    placements: int = 1,
) -> Plan:
    """The plan of a decision, with its prediction on the calibrate rows.

    Parameters
    ----------
    records : of the variant the plan runs; its precision, and codecs that change tensors, are the plan's
    placement : (S,) tier names
    thresholds : (E - 1,) of the calibrated confidence, ``None`` is off; see `whole_request` for one exit for all
    codec : at every cut, except where the variant has another
    temperatures : (E,) of the exits, default 1.0
    reference : records against whose last exit accuracy is lost; default the same
    settings, placements : how many the decision was made from, for the plan's evidence

    Raises
    ------
    RecordMismatch : they do not belong together
    NotEnoughSamples : no tune or no calibrate rows
    """
    source = records.provenance
    name = VariantName.parse(source.variant)
    tiers = {tier: index for index, tier in enumerate(network.tier_names)}
    unknown = [tier for tier in placement if tier not in tiers]
    if unknown:
        raise RecordMismatch(f"placement names tier {unknown[0]!r}, but the tiers are {', '.join(tiers)}")
    rows = np.array([[tiers[tier] for tier in placement]])
    table = cost_table(profiles, network, codec, records.exits, rows, name.precision, name.coded)
    held_out = records.on("calibrate")
    plan = Plan(
        cascade=source.cascade,
        cascade_fingerprint=source.cascade_fingerprint,
        tiers=network.tier_names,
        placement=tuple(placement),
        gates=tuple(GateSpec(threshold=threshold) for threshold in thresholds),
        temperatures=exit_temperatures(records, temperatures),
        codec=codec,
        coded=dict(name.coded),
        precision=name.precision,
        planner=planner,
        objective=objective,
        evidence=Evidence(
            data=source.data,
            data_sha256=source.data_sha256,
            tune_rows=len(records.on("tune")),
            calibrate_rows=len(held_out),
            settings=settings,
            placements=placements,
        ),
    )
    against = None if reference is None else reference.on("calibrate")
    return plan.model_copy(update={"predicted": predict(plan, held_out, table, network=network, reference=against)})


def whole_request(exits: int, chosen: int) -> tuple[float | None, ...]:
    """Thresholds under which every sample leaves by exit ``chosen``, whatever its confidence.

    Examples
    --------
    >>> whole_request(4, 1), whole_request(4, 3)
    ((None, 0.0, None), (None, None, None))
    """
    return tuple(0.0 if index == chosen else None for index in range(exits - 1))


def exit_temperatures(records: Records, temperatures: Sequence[float] | None) -> tuple[float, ...]:
    """(E,) the temperatures given, or 1.0 for every exit.

    Raises
    ------
    RecordMismatch : not one per exit
    """
    values = (1.0,) * records.exits if temperatures is None else tuple(float(t) for t in temperatures)
    if len(values) != records.exits:
        raise RecordMismatch(
            f"{len(values)} temperatures for the {records.exits} exits of the records; "
            "run 'offramp calibrate' on the cascade of the records"
        )
    return values
