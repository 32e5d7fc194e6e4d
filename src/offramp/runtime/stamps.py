"""When a tier did what for one request."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple

from offramp.errors import PeerRefused

__all__ = ["STAMPS", "Stamps"]

#: the request parameter that asks for stamps; ``stamps.TIER`` in the response brings them
STAMPS = "stamps"


class Stamps(NamedTuple):
    """Seconds on the tier's own monotonic clock, none before the one ahead of it.

    The request was there (``arrived_s``), its turn came (``started_s``), its tensors were read (``decoded_s``), the
    tier's part was done (``computed_s``), what goes on was encoded and handed to the transport (``sent_s``), the
    answer was there (``heard_s``), and it was ready to leave (``left_s``). What did not happen took no time.

    Durations between two stamps of one tier always mean something. Differences between tiers do so only where both
    read one clock, as all processes of a machine do.

    Examples
    --------
    >>> stamps = Stamps(10.0, 10.5, 10.5, 12.0, 12.25, 13.0, 13.0)
    >>> stamps.to_text()
    '10.000000,500000,500000,2000000,2250000,3000000,3000000'
    >>> Stamps.from_text(stamps.to_text()) == stamps
    True
    """

    arrived_s: float
    started_s: float
    decoded_s: float
    computed_s: float
    sent_s: float
    heard_s: float
    left_s: float

    def to_text(self) -> str:
        """The first in seconds, the others in microseconds after it."""
        after = (round((other - self.arrived_s) * 1e6) for other in self[1:])
        return ",".join([f"{self.arrived_s:.6f}", *map(str, after)])

    @classmethod
    def from_text(cls, text: str) -> Stamps:
        """Read what a peer has sent.

        Raises
        ------
        PeerRefused : anything else than seven numbers in order
        """
        try:
            first, *after = (float(part) for part in text[:200].split(","))
            stamps = cls(first, *(first + microseconds / 1e6 for microseconds in after))
        except (ValueError, TypeError):
            stamps = cls(*[math.nan] * 7)
        if not all(a <= b < math.inf for a, b in pairwise(stamps)):
            raise PeerRefused(f"stamps must be seven finite numbers in order, not {text[:60]!r}")
        return stamps
