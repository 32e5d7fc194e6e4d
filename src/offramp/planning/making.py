"""A plan from a decision: who runs what, and when to stop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from offramp.errors import RecordMismatch
from offramp.links.network import Network
from offramp.planning.costs import CostTable, cost_table
from offramp.planning.gate_spec import GateSpec
from offramp.planning.objective import Objective
from offramp.planning.plan import Evidence, Plan, Prediction
from offramp.planning.replay import predict
from offramp.profiles.profile import Profile
from offramp.records.records import Records

__all__ = ["coded_profiles", "exit_temperatures", "make_plan", "split_variant", "whole_request"]


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
    precision, coded = split_variant(source.variant)
    costed = profiles if not coded else coded_profiles(profiles, codec, coded)
    tiers = {name: index for index, name in enumerate(network.tier_names)}
    unknown = [name for name in placement if name not in tiers]
    if unknown:
        raise RecordMismatch(f"placement names tier {unknown[0]!r}, but the tiers are {', '.join(tiers)}")
    table = cost_table(
        costed, network, codec, records.exits, np.array([[tiers[name] for name in placement]]), precision
    )
    held_out = records.on("calibrate")
    plan = Plan.model_validate(
        {
            "cascade": source.cascade,
            "cascade_fingerprint": source.cascade_fingerprint,
            "tiers": network.tier_names,
            "placement": tuple(placement),
            "gates": tuple(GateSpec(threshold=threshold) for threshold in thresholds),
            "temperatures": exit_temperatures(records, temperatures),
            "codec": codec,
            "precision": precision,
            "planner": planner,
            "objective": objective,
            "evidence": Evidence(
                data=source.data,
                data_sha256=source.data_sha256,
                tune_rows=len(records.on("tune")),
                calibrate_rows=len(held_out),
                settings=settings,
                placements=placements,
            ),
            **({"coded": coded} if coded else {}),
        }
    )
    return plan.model_copy(update={"predicted": _predicted(plan, held_out, table, reference)})


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


def split_variant(variant: str) -> tuple[str, dict[int, str]]:
    """Precision and coded cuts of records made as ``PRECISION`` or ``PRECISION+CODEC@CUT``.

    Examples
    --------
    >>> split_variant("int8:1+affine4@2"), split_variant("fp32")
    (('int8:1', {2: 'affine4'}), ('fp32', {}))
    """
    precision, *cuts = variant.split("+")
    pairs = [cut.rpartition("@") for cut in cuts]
    return precision, {int(cut): codec for codec, _, cut in pairs}


def coded_profiles(
    profiles: Mapping[str, Profile] | Sequence[Profile], codec: str, coded: Mapping[int, str]
) -> list[Profile]:
    """The profiles with the payloads of other codecs under the name of ``codec`` at some cuts.

    Raises
    ------
    RecordMismatch : a codec was not measured at its cut
    """
    known = list(profiles.values()) if isinstance(profiles, Mapping) else list(profiles)
    result = []
    for profile in known:
        own = [profile.payload(cut, name).model_copy(update={"codec": codec}) for cut, name in coded.items()]
        kept = [cost for cost in profile.payloads if cost.codec != codec or cost.cut not in coded]
        result.append(profile.model_copy(update={"payloads": (*kept, *own)}))
    return result


def _predicted(plan: Plan, held_out: Records, table: CostTable, reference: Records | None) -> Prediction:
    found = predict(plan, held_out, table)
    if reference is None:
        return found
    last = float(reference.on("calibrate").correct[-1].mean())
    return found.model_copy(update={"accuracy_last_exit": last, "accuracy_loss": last - found.accuracy})
