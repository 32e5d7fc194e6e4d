"""Latency terms under the names people call them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from offramp.planning.plan import Term

__all__ = ["grouped_terms"]

#: terms that are shown as one; ``True`` keeps what stands behind the colon (the link) apart
_GROUPS = {
    "encode": ("coding", False),
    "decode": ("coding", False),
    "hop": ("messages", False),
    "transfer": ("transfer", True),
    "return": ("transfer", True),
    "rtt": ("round trip", True),
}


def grouped_terms(terms: Sequence[Term]) -> dict[str, float]:
    """Seconds by what people call it: small terms of one kind are added up.

    Examples
    --------
    >>> grouped_terms([Term(name="encode", mean_s=0.25), Term(name="decode", mean_s=0.5)])
    {'coding': 0.75}
    >>> grouped_terms([Term(name="rtt:device-edge", mean_s=0.02)])
    {'round trip device-edge': 0.02}
    """
    seconds: dict[str, float] = defaultdict(float)
    for term in terms:
        kind, _, place = term.name.partition(":")
        name, keep_place = _GROUPS.get(kind, (kind, True))
        seconds[f"{name} {place}".strip() if keep_place else name] += term.mean_s
    return dict(seconds)
