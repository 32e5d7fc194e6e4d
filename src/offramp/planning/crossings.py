"""What crosses the links under every placement: seconds to encode and decode, bytes there and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from offramp.links.network import Network
from offramp.profiles.profile import Profile

__all__ = ["Crossings", "crossing_cuts"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def crossing_cuts(placements: Ints, tiers: int) -> Ints:
    """(P, K - 1) the cut at which every link is crossed: before the first segment beyond it; S where none is.

    Examples
    --------
    >>> crossing_cuts(np.array([[0, 0], [0, 2], [1, 1]]), tiers=3)
    array([[2, 2],
           [1, 1],
           [0, 2]])
    """
    cuts = [np.count_nonzero(placements <= link, axis=1) for link in range(tiers - 1)]
    return np.array(cuts, np.int64).reshape(tiers - 1, len(placements)).T


@dataclass(frozen=True)
class Crossings:
    """Per placement and link (P, K - 1): seconds to encode before and decode after it, bytes over it.

    ``answer_bytes`` and ``hop_s`` (K - 1,) are the same for every placement.
    """

    encode_s: Floats
    decode_s: Floats
    message_bytes: Floats
    answer_bytes: Floats
    hop_s: Floats

    @classmethod
    def of(
        cls, profiles: Sequence[Profile], codec: str, placements: Ints, coded: Mapping[int, str] | None = None
    ) -> Crossings:
        """Read them off the profiles of the tiers, the first tier first; ``coded`` names other codecs at some cuts."""
        tiers, segments = len(profiles), placements.shape[1]
        if tiers == 1:
            none = np.zeros((len(placements), 0))
            return cls(none, none, none, np.zeros(0), np.zeros(0))
        at = crossing_cuts(placements, tiers)
        encode, decode, size = _payload_tables(profiles, codec, segments, coded or {})
        source = np.arange(tiers - 1)
        made_here = np.diff(at, axis=1, prepend=-1) > 0  # the input counts as made by tier 0
        used_next = np.diff(at, axis=1, append=segments) > 0
        overhead = np.array([profile.transport.request_overhead_bytes for profile in profiles[:-1]])
        return cls(
            encode_s=made_here * encode[source, at],
            decode_s=used_next * decode[source + 1, at],
            message_bytes=size[0][at] + overhead,
            answer_bytes=np.array([profile.transport.answer_bytes for profile in profiles[:-1]]),
            hop_s=np.array([profile.transport.hop_s for profile in profiles[:-1]]),
        )

    def terms(self, network: Network) -> tuple[tuple[str, ...], list[Floats]]:
        """Names of the terms, and their seconds (P, K - 1) link by link."""
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


def _payload_tables(
    profiles: Sequence[Profile], codec: str, segments: int, coded: Mapping[int, str]
) -> tuple[Floats, Floats, Floats]:
    """(K, S + 1) each: encode seconds, decode seconds, bytes. The last cut is never crossed."""
    tables = np.zeros((3, len(profiles), segments + 1))
    for tier, profile in enumerate(profiles):
        for cut in range(segments):
            cost = profile.payload(cut, coded.get(cut, codec))
            tables[:, tier, cut] = cost.encode_s, cost.decode_s, cost.payload_bytes
    return tables[0], tables[1], tables[2]
