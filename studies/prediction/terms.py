"""Where a latency goes: the same terms for what was predicted and what was measured."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

from offramp.planning.plan import Term
from offramp.runtime.answer import Answer

__all__ = ["TERMS", "measured_terms", "predicted_terms"]

#: ``encode`` is encoding and decoding; ``transfer`` the way up and ``return`` the way back, each with half of the
#: round trip and half of the protocol's work; ``other`` is what no term of the model names
TERMS = ("compute", "encode", "transfer", "queue", "return", "other")

_SHARES = {
    "compute": {"compute": 1.0},
    "encode": {"encode": 1.0},
    "decode": {"encode": 1.0},
    "transfer": {"transfer": 1.0},
    "rtt": {"transfer": 0.5, "return": 0.5},
    "hop": {"transfer": 0.5, "return": 0.5},
    "return": {"return": 1.0},
}


def predicted_terms(terms: Iterable[Term]) -> dict[str, float]:
    """Mean seconds by term of a prediction whose terms are named ``kind`` or ``kind:where``.

    Examples
    --------
    >>> found = predicted_terms([Term(name="rtt:device-edge", mean_s=0.5), Term(name="compute:edge", mean_s=2.0)])
    >>> found["transfer"], found["return"], found["compute"]
    (0.25, 0.25, 2.0)
    """
    found = dict.fromkeys(TERMS, 0.0)
    for term in terms:
        for name, share in _SHARES.get(term.name.partition(":")[0], {"other": 1.0}).items():
            found[name] += share * term.mean_s
    return found


def measured_terms(answer: Answer, tiers: Iterable[str]) -> dict[str, float]:
    """Seconds by term of one stamped answer; all tiers must read one clock.

    They add up to the latency.
    """
    stamps = answer.stamps or {}
    way = [stamps[tier] for tier in tiers if tier in stamps]
    found = dict.fromkeys(TERMS, 0.0)
    found["compute"] = sum((answer.compute_s or {}).values())
    found["encode"] = sum(here.decoded_s - here.started_s + here.sent_s - here.computed_s for here in way)
    found["queue"] = sum(s.started_s - s.arrived_s for s in way)
    found["transfer"] = sum(there.arrived_s - here.sent_s for here, there in pairwise(way))
    found["return"] = sum(here.heard_s - there.left_s for here, there in pairwise(way))
    found["other"] = answer.latency_s - sum(found.values())
    return found
