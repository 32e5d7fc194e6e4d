"""What a sample costs, for every placement and every exit it may leave by."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.cascade.precision import precision_at
from offramp.errors import RecordMismatch
from offramp.links.network import Network
from offramp.profiles.profile import Profile

__all__ = ["CostTable", "all_placements", "by_tier", "cost_table", "exit_segments_of", "segments_of"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class CostTable:
    """Seconds and bytes of P placements and E exits under one codec.

    ``placements`` (P, S) tier index of every segment; ``terms_s`` (P, E, T) seconds by term, named
    by ``names``; ``cost_s`` (P, E) their sum, which never falls from one exit to the next;
    ``sent_bytes`` (P, E) bytes that leave the first tier.
    """

    codec: str
    tiers: tuple[str, ...]
    exit_segments: tuple[int, ...]
    placements: Ints
    names: tuple[str, ...]
    terms_s: Floats
    cost_s: Floats
    sent_bytes: Floats

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
    rows = list(itertools.combinations_with_replacement(range(tiers), segments))
    return np.array(rows, np.int64).reshape(len(rows), segments)


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
    placements : (P, S) tier indices; default all of them
    precision : as in the records, such as ``int8:2``

    Raises
    ------
    RecordMismatch : a tier has no profile, or a profile lacks a segment, in this precision, or the codec
    """
    chosen = by_tier(profiles, network)
    exit_segments = exit_segments_of(chosen[0], exits)
    seconds = _segment_seconds(chosen, precision)
    tiers, segments = seconds.shape
    rows = all_placements(segments, tiers) if placements is None else placements
    at_exit = rows[:, list(exit_segments)]
    here = rows[:, :, None] == np.arange(tiers)
    compute = np.cumsum(here * seconds.T[None], axis=1)[:, list(exit_segments)]
    crossed = at_exit[:, :, None] > np.arange(tiers - 1)  # (P, E, K - 1)
    links = _Links.of(chosen, network, codec, rows)
    names, per_link = links.terms(network)
    terms = np.concatenate([compute, *(crossed * part[:, None] for part in per_link)], axis=2)
    sent = np.where(at_exit > 0, links.message_bytes[:, :1], 0.0) if tiers > 1 else np.zeros(at_exit.shape)
    tier_names = network.tier_names
    all_names, terms = _merge((*(f"compute:{tier}" for tier in tier_names), *names), terms)
    return CostTable(codec, tier_names, exit_segments, rows, all_names, terms, terms.sum(-1), sent)


@dataclass(frozen=True)
class _Links:
    """Per placement and link (P, K - 1): seconds to encode before and decode after it, bytes over it."""

    encode_s: Floats
    decode_s: Floats
    message_bytes: Floats
    answer_bytes: Floats
    hop_s: Floats

    @classmethod
    def of(cls, profiles: list[Profile], network: Network, codec: str, placements: Ints) -> _Links:
        tiers, segments = len(profiles), placements.shape[1]
        # link l is crossed at the cut after the last segment on tiers 0..l; at cut S nothing crosses it
        cut = (placements[:, :, None] <= np.arange(tiers)).sum(1)  # (P, K)
        encode, decode, size = _payload_tables(profiles, codec, segments) if tiers > 1 else (np.zeros((1, 1)),) * 3
        source = np.arange(tiers - 1)
        made_here = np.diff(cut[:, :-1], axis=1, prepend=-1) > 0  # the input counts as made by tier 0
        used_next = np.diff(cut, axis=1) > 0
        at = cut[:, :-1]
        overhead = np.array([profile.transport.request_overhead_bytes for profile in profiles[:-1]])
        return cls(
            encode_s=made_here * encode[source, at],
            decode_s=used_next * decode[source + 1, at],
            message_bytes=size[0][at] + overhead,
            answer_bytes=np.array([profile.transport.answer_bytes for profile in profiles[:-1]]),
            hop_s=np.array([profile.transport.hop_s for profile in profiles[:-1]]),
        )

    def terms(self, network: Network) -> tuple[tuple[str, ...], list[Floats]]:
        pairs = [f"{link.source}-{link.target}" for link in network.links]
        per_byte_s = 8.0 / np.array([link.bandwidth_bps for link in network.links])
        every = np.ones((len(self.encode_s), 1))
        parts = {
            "encode": self.encode_s,
            "decode": self.decode_s,
            "transfer:": self.message_bytes * per_byte_s,
            "rtt:": every * np.array([link.rtt_s for link in network.links]),
            "hop:": every * self.hop_s,
            "return:": every * self.answer_bytes * per_byte_s,
        }
        names = [name + pair if name.endswith(":") else name for name in parts for pair in pairs]
        return tuple(names), list(parts.values())


def _segment_seconds(profiles: list[Profile], precision: str) -> Floats:
    """(K, S) median seconds, every segment in the precision it will run in."""
    segments = segments_of(profiles[0])
    table = np.full((len(profiles), segments), np.nan)
    for tier, profile in enumerate(profiles):
        for cost in profile.segments:
            if cost.precision == precision_at(precision, cost.segment) and cost.batch == 1 and cost.segment < segments:
                table[tier, cost.segment] = cost.median_s
        if np.isnan(table[tier]).any() or segments_of(profile) != segments:
            raise RecordMismatch(
                f"the profile of tier {profile.tier!r} does not cover the {segments} segments, one row at a time "
                f"in {precision}; run 'offramp profile' again"
            )
    return table


def _payload_tables(profiles: list[Profile], codec: str, segments: int) -> tuple[Floats, Floats, Floats]:
    """(K, S + 1) each: encode seconds, decode seconds, bytes. The last cut is never crossed."""
    tables = np.zeros((3, len(profiles), segments + 1))
    for tier, profile in enumerate(profiles):
        for cut in range(segments):
            cost = profile.payload(cut, codec)
            tables[:, tier, cut] = cost.encode_s, cost.decode_s, cost.payload_bytes
    return tables[0], tables[1], tables[2]


def _merge(names: tuple[str, ...], terms: Floats) -> tuple[tuple[str, ...], Floats]:
    """Add up the terms of the same name (encode and decode of several links)."""
    unique = tuple(dict.fromkeys(names))
    columns = [terms[:, :, [i for i, other in enumerate(names) if other == name]].sum(-1) for name in unique]
    return unique, np.stack(columns, axis=-1)
