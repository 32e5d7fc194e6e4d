"""A planning problem: what there is to choose from, counted and checked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from offramp.codecs.registry import get_codec
from offramp.confidence.certificate import Certificate
from offramp.confidence.gates.base import Gate
from offramp.confidence.gates.scoring import check_gates, scoring_gates
from offramp.confidence.risks import AccuracyLoss
from offramp.errors import CertificateError, ConfigError, NotEnoughSamples, RecordMismatch
from offramp.links.network import Network
from offramp.planning.choices import Choices
from offramp.planning.costs import by_tier, cost_table
from offramp.planning.objective import Objective
from offramp.planning.reach import limits, within_limits
from offramp.planning.variants import Variant, as_variants, check_variants
from offramp.profiles.profile import Profile
from offramp.records.certify import certify
from offramp.records.fit_gates import choosing_rows
from offramp.records.records import Records

__all__ = ["Problem", "SearchOptions", "lossless_ways", "prepare"]

Index = NDArray[np.intp]


class SearchOptions(TypedDict, total=False):
    """What may be said of a search.

    Parameters
    ----------
    temperatures : (E,) of the exits, default 1.0
    codecs : names to choose from, lossless ones only; default those all tiers were measured with. Codecs that
        change tensors come with the records made through them, as variants
    placements : tier names per segment to choose from; default every placement that goes up the chain
    planner : name written into the plan
    max_settings : most gate settings; decides how fine the grid of thresholds is
    certificate : made before, from these records of one variant; a plan may take any of its settings
    gates : whose scores decide, one per early exit, their thresholds ignored; default those of the certificate, or the
        calibrated confidence. The tune rows that `offramp.records.fit_gates` fits on choose no thresholds
    """

    temperatures: Sequence[float] | None
    codecs: Sequence[str] | None
    placements: Sequence[Sequence[str]] | None
    planner: str
    max_settings: int
    certificate: Certificate | None
    gates: Sequence[Gate] | None


@dataclass(frozen=True)
class Problem:
    """What there is to choose from: ``choices`` of placement, variant and codec, each with gate settings.

    ``kept`` (R,) for every limit on placements, the choices that keep it; ``profiles`` are those of the tiers, in
    their order; ``gates`` give the scores, the confidence where there are none.
    """

    records: Records
    profiles: tuple[Profile, ...]
    network: Network
    objective: Objective
    temperatures: tuple[float, ...]
    gates: tuple[Gate, ...]
    planner: str
    variants: tuple[Variant, ...]
    choices: Choices
    kept: dict[str, NDArray[np.bool_]]

    @property
    def reach(self) -> Index:
        """The choices that keep every limit on placements."""
        return np.flatnonzero(within_limits(self.kept, len(self.choices)))

    def accurate(self, loss: float | None = None) -> list[Index]:
        """Of every variant the settings that lose little enough; default what the objective allows."""
        most = self.objective.accuracy_loss if loss is None else loss
        return [variant.accurate(most) for variant in self.variants]

    def variant_of(self, row: int) -> Variant:
        """Of a choice."""
        return self.variants[int(self.choices.variant[row])]


def prepare(
    records: Records | Sequence[Records],
    profiles: Mapping[str, Profile] | Sequence[Profile],
    network: Network,
    objective: Objective | None = None,
    **options: Unpack[SearchOptions],
) -> Problem:
    """Count and check; parameters and errors are those of `offramp.planning.search.search`."""
    goal = objective or Objective()
    several = as_variants(records)
    check_variants(several)
    first = several[0]
    degrees = _temperatures(first, options.get("temperatures"))
    chosen = by_tier(profiles, network)
    chosen[0].require(first.provenance.cascade_fingerprint)
    certificate = options.get("certificate")
    gates = _gates(first, options.get("gates"), certificate)
    most = options.get("max_settings", 100_000)
    variants = tuple(_variants(several, goal, degrees, gates, certificate, most))
    tables, of = [], []
    for which, variant in enumerate(variants):
        precision = variant.name.precision
        for codec, own in lossless_ways(chosen, options.get("codecs")):
            coded = {**own, **variant.name.coded}
            if own and len(coded) < len(own) + len(variant.name.coded):
                continue  # the variant codes that cut itself
            table = cost_table(chosen, network, codec, first.exits, precision=precision, coded=coded)
            if len(table.placements):
                tables.append(table)
                of.append(which)
    choices = Choices.of(tables, of, network, goal)
    return Problem(
        records=first,
        profiles=tuple(chosen),
        network=network,
        objective=goal,
        temperatures=degrees,
        gates=gates,
        planner=options.get("planner", "offramp"),
        variants=variants,
        choices=choices,
        kept=limits(choices, variants, chosen, goal, options.get("placements")),
    )


def _variants(
    several: Sequence[Records],
    goal: Objective,
    degrees: tuple[float, ...],
    gates: tuple[Gate, ...],
    certificate: Certificate | None,
    most: int,
) -> list[Variant]:
    reference = float(choosing_rows(several[0], gates).correct[-1].mean())
    if certificate is not None:
        if len(several) > 1:
            names = ", ".join(records.provenance.variant for records in several)
            raise ConfigError(
                f"a certificate speaks of one variant, but there are {names}; give a confidence in place of it"
            )
        return [Variant.of(several[0], degrees, gates, reference, most, certificate)]
    if goal.confidence is None:
        return [Variant.of(records, degrees, gates, reference, most) for records in several]
    # any variant may be chosen, so each has its part of the probability that its statement fails
    delta = round((1.0 - goal.confidence) / len(several), 12)
    risks = [AccuracyLoss(goal.accuracy_loss)]
    found = []
    for records in several:
        try:
            made = certify(records, risks, delta, temperatures=degrees, gates=gates, reference=several[0])
        except NotEnoughSamples:
            if records is several[0]:
                raise
            continue  # its own losses cannot be shown to be small
        found.append(Variant.of(records, degrees, gates, reference, most, made))
    return found


def _gates(records: Records, gates: Sequence[Gate] | None, certificate: Certificate | None) -> tuple[Gate, ...]:
    """The gates whose scores decide, without thresholds; none for the confidence."""
    if gates is None:
        return () if certificate is None else certificate.gates
    check_gates(gates, records.exits - 1)
    chosen = scoring_gates(gates)
    if certificate is not None and certificate.gates != chosen:
        raise CertificateError(
            f"certificate {certificate.certificate_id} was made with other gates; run 'offramp certify' again"
        )
    return chosen


def _temperatures(records: Records, temperatures: Sequence[float] | None) -> tuple[float, ...]:
    values = (1.0,) * records.exits if temperatures is None else tuple(float(t) for t in temperatures)
    if len(values) != records.exits:
        raise RecordMismatch(
            f"{len(values)} temperatures for the {records.exits} exits of the records; "
            "run 'offramp calibrate' on the cascade of the records"
        )
    return values


def lossless_ways(profiles: Sequence[Profile], wanted: Sequence[str] | None) -> list[tuple[str, dict[int, str]]]:
    """Every codec that all tiers were measured with at every cut, alone and with one that serves a single cut.

    Returns
    -------
    (codec, codecs of their own at some cuts), such as ``("raw", {})`` and, for images, ``("raw", {0: "webp"})``

    Raises
    ------
    ConfigError : a codec that changes the tensors
    RecordMismatch : the profiles share no lossless codec
    """
    for name in wanted or ():
        if not get_codec(name).lossless:
            raise ConfigError(
                f"codec {name!r} changes the tensors, so records made without it do not hold; "
                f"record through it ('offramp record --codec {name}@CUT') and plan with those records too"
            )
    cuts = sorted({cost.cut for cost in profiles[0].payloads})
    at = {cut: [n for n in profiles[0].codecs_at(cut) if all(n in p.codecs_at(cut) for p in profiles)] for cut in cuts}
    known = dict.fromkeys(name for names in at.values() for name in names)
    lossless = [name for name in wanted or known if get_codec(name).lossless]
    whole = [name for name in lossless if name not in known or all(name in names for names in at.values())]
    if not whole:
        raise RecordMismatch("the profiles share no lossless codec for every cut; run 'offramp profile' again")
    single = [(cut, name) for cut in cuts for name in at[cut] if name in lossless and name not in whole]
    return [(name, own) for name in whole for own in ({}, *({cut: one} for cut, one in single))]
