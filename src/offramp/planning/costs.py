"""What a sample costs, for every placement and every exit it may leave by."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.precision import precision_at
from offramp.errors import RecordMismatch
from offramp.links.network import Network
from offramp.planning.crossings import Crossings, crossing_cuts
from offramp.planning.spans import sums_to_exits
from offramp.profiles.energy import EnergyModel, energy_model
from offramp.profiles.profile import Profile, SegmentCost

__all__ = [
    "CostTable",
    "all_placements",
    "by_tier",
    "cost_table",
    "exit_segments_of",
    "model_bytes",
    "segments_of",
]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class CostTable:
    """What P placements and E exits cost under one codec and precision.

    ``placements`` (P, S) tier index of every segment; ``terms_s`` (P, E, T) seconds by term, named
    by ``names``; ``cost_s`` (P, E) their sum, which never falls from one exit to the next. ``codec_s`` (P, E, K)
    seconds every tier encodes and decodes; ``up_bytes`` and ``down_bytes`` (P, E, K - 1) over every link;
    ``compute_j`` (P, E) joules the first tier computes with, where it declares an energy model. ``coded`` names
    the codec at cuts that have their own.
    """

    codec: str
    tiers: tuple[str, ...]
    exit_segments: tuple[int, ...]
    placements: Ints
    names: tuple[str, ...]
    terms_s: Floats
    cost_s: Floats
    codec_s: Floats
    up_bytes: Floats
    down_bytes: Floats
    compute_j: Floats | None = None
    energy: EnergyModel | None = None
    coded: Mapping[int, str] = field(default_factory=dict)

    @property
    def sent_bytes(self) -> Floats:
        """(P, E) bytes that leave the first tier."""
        return self.up_bytes[:, :, 0] if len(self.tiers) > 1 else np.zeros(self.cost_s.shape)

    def only(self, index: int) -> CostTable:
        """The table of one placement."""
        one = slice(index, index + 1)
        return replace(
            self,
            placements=self.placements[one],
            terms_s=self.terms_s[one],
            cost_s=self.cost_s[one],
            codec_s=self.codec_s[one],
            up_bytes=self.up_bytes[one],
            down_bytes=self.down_bytes[one],
            compute_j=None if self.compute_j is None else self.compute_j[one],
        )

    def placement_names(self, index: int) -> tuple[str, ...]:
        """The tier of every segment, by name."""
        return tuple(self.tiers[tier] for tier in self.placements[index])

    def row_of(self, placement: Sequence[str]) -> int:
        """The index of a placement given by tier names.

        Raises
        ------
        RecordMismatch : it is not in the table
        """
        wanted = [self.tiers.index(tier) if tier in self.tiers else -1 for tier in placement]
        if len(wanted) == self.placements.shape[1]:
            found = np.flatnonzero((self.placements == wanted).all(1))
            if len(found):
                return int(found[0])
        raise RecordMismatch(
            f"placement {' '.join(placement)!r} does not fit {self.placements.shape[1]} segments "
            f"on the tiers {', '.join(self.tiers)}"
        )


def all_placements(segments: int, tiers: int) -> Ints:
    """(P, S) every nondecreasing row of tier indices, in lexical order; P = C(S + K - 1, K - 1).

    Examples
    --------
    >>> all_placements(2, 2)
    array([[0, 0],
           [0, 1],
           [1, 1]])
    """
    rising = list(itertools.combinations_with_replacement(range(segments + 1), tiers - 1))
    cuts = np.array(rising, np.int64).reshape(len(rising), tiers - 1)[::-1]  # of every link, the latest first
    placements = np.zeros((len(cuts), segments), np.int8)
    for cut in cuts.T:
        placements += (cut[:, None] <= np.arange(segments)).view(np.int8)
    return placements.astype(np.int64)


def by_tier(profiles: Mapping[str, Profile] | Sequence[Profile], network: Network) -> list[Profile]:
    """The profile of every tier of the network, in its order.

    Raises
    ------
    RecordMismatch : one is missing, or they belong to different cascades
    """
    known = profiles if isinstance(profiles, Mapping) else {profile.tier: profile for profile in profiles}
    for tier in network.tier_names:
        if tier not in known:
            raise RecordMismatch(
                f"{network.name}: tier {tier!r} has no profile (there is one for {', '.join(known) or 'none'}); "
                f"run 'offramp profile CASCADE --tier {tier}'"
            )
    chosen = [known[tier] for tier in network.tier_names]
    for profile in chosen:
        profile.require(chosen[0].cascade_fingerprint)
    return chosen


def segments_of(profile: Profile) -> int:
    """S, the number of segments a profile covers."""
    return len({cost.segment for cost in profile.segments})


def exit_segments_of(profile: Profile, exits: int) -> tuple[int, ...]:
    """The segment every exit ends.

    Raises
    ------
    RecordMismatch : the profile names another number of exits than the records hold
    """
    segments = segments_of(profile)
    named = profile.exit_segments or tuple(range(segments))
    if len(named) != exits:
        raise RecordMismatch(
            f"the profile of tier {profile.tier!r} has {segments} segments and {len(named)} exits, "
            f"but the records hold {exits} exits; run 'offramp profile' again"
        )
    return named


def cost_table(
    profiles: Mapping[str, Profile] | Sequence[Profile],
    network: Network,
    codec: str,
    exits: int,
    placements: Ints | None = None,
    precision: str = "fp32",
    coded: Mapping[int, str] | None = None,
) -> CostTable:
    """Cost of every placement and exit.

    A sample that leaves by the exit of segment s pays the median seconds of every segment up to s on
    its tier. For every link before the tier of s it pays the bytes of payload and request over the
    bandwidth, the round trip, the protocol's hop seconds, and the answer's bytes on the way back. A
    payload is encoded once, by the tier that made it (the first tier for the input), and decoded once,
    by the next tier that computes; tiers that run nothing pass it on as it is. Payload bytes are those
    of the first tier's profile.

    Parameters
    ----------
    profiles : one per tier of the network
    exits : E, as in the records
    placements : (P, S) tier indices; default all of them that hand over at every cut of ``coded``
    precision : as in the records, such as ``int8:2``
    coded : codecs of their own at some cuts

    Raises
    ------
    RecordMismatch : a tier has no profile, or a profile lacks a segment, in this precision, or the codec
    ConfigError : an unknown energy model
    """
    chosen = by_tier(profiles, network)
    exit_segments = exit_segments_of(chosen[0], exits)
    seconds = _segment_seconds(chosen, precision)
    tiers, segments = seconds.shape
    rows = _handing_over(all_placements(segments, tiers), tiers, coded or {}) if placements is None else placements
    at_exit = rows[:, list(exit_segments)]
    compute = sums_to_exits(seconds, rows, exit_segments)
    crossed = at_exit[:, :, None] > np.arange(tiers - 1)  # (P, E, K - 1)
    links = Crossings.of(chosen, codec, rows, coded)
    names, per_link = links.terms(network)
    terms = np.concatenate([compute, *(crossed * part[:, None] for part in per_link)], axis=2)
    codec_s = np.zeros(compute.shape)
    codec_s[:, :, :-1] += crossed * links.encode_s[:, None]
    codec_s[:, :, 1:] += crossed * links.decode_s[:, None]
    all_names, terms = _merge((*(f"compute:{tier}" for tier in network.tier_names), *names), terms)
    model = None if network.tiers[0].energy is None else energy_model(network.tiers[0].energy)
    joules = None if model is None else _segment_joules(model, chosen, precision, segments)
    return CostTable(
        codec=codec,
        tiers=network.tier_names,
        exit_segments=exit_segments,
        placements=rows,
        names=all_names,
        terms_s=terms,
        cost_s=terms.sum(-1),
        codec_s=codec_s,
        up_bytes=crossed * links.message_bytes[:, None],
        down_bytes=crossed * links.answer_bytes,
        compute_j=None if joules is None else sums_to_exits(joules, rows, exit_segments)[:, :, 0],
        energy=model,
        coded=dict(coded or {}),
    )


def _handing_over(placements: Ints, tiers: int, coded: Mapping[int, str]) -> Ints:
    """The placements that cross a link at every coded cut."""
    if not coded:
        return placements
    crossed = crossing_cuts(placements, tiers)
    return placements[np.all([(crossed == cut).any(1) for cut in coded], axis=0)]


def _segment_costs(profile: Profile, precision: str, segments: int) -> list[SegmentCost | None]:
    """One per segment, in the precision it will run in, one row at a time; ``None`` where not measured."""
    found: list[SegmentCost | None] = [None] * segments
    for cost in profile.segments:
        if cost.precision == precision_at(precision, cost.segment) and cost.batch == 1 and cost.segment < segments:
            found[cost.segment] = cost
    return found


def _segment_seconds(profiles: list[Profile], precision: str) -> Floats:
    """(K, S) median seconds."""
    segments = segments_of(profiles[0])
    table = np.empty((len(profiles), segments))
    for tier, profile in enumerate(profiles):
        costs = _segment_costs(profile, precision, segments)
        if None in costs or segments_of(profile) != segments:
            raise RecordMismatch(
                f"the profile of tier {profile.tier!r} does not cover the {segments} segments, one row at a time "
                f"in {precision}; run 'offramp profile' again"
            )
        table[tier] = [cost.median_s for cost in costs if cost is not None]
    return table


def _segment_joules(model: EnergyModel, profiles: list[Profile], precision: str, segments: int) -> Floats:
    """(K, S) on the first tier; none elsewhere."""
    table = np.zeros((len(profiles), segments))
    costs = _segment_costs(profiles[0], precision, segments)
    table[0] = [model.segment_energy_j(cost) for cost in costs if cost is not None]
    return table


def model_bytes(profile: Profile, precision: str) -> Floats:
    """(S,) bytes of the model files of the segments on a tier.

    Raises
    ------
    RecordMismatch : the profile does not know them
    """
    costs = _segment_costs(profile, precision, segments_of(profile))
    sizes = [None if cost is None else cost.model_bytes for cost in costs]
    if None in sizes:
        raise RecordMismatch(
            f"the profile of tier {profile.tier!r} does not say how large the segments are in {precision}, "
            "and the tier declares its memory; run 'offramp profile' again"
        )
    return np.array(sizes, np.float64)


def _merge(names: tuple[str, ...], terms: Floats) -> tuple[tuple[str, ...], Floats]:
    """Add up the terms of the same name (encode and decode of several links)."""
    unique = tuple(dict.fromkeys(names))
    columns = [terms[:, :, [i for i, other in enumerate(names) if other == name]].sum(-1) for name in unique]
    return unique, np.stack(columns, axis=-1)
