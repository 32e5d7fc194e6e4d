"""The twelve plans, the three link settings and the arrivals that are measured."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from offramp.links.network import Link, Network, Tier
from offramp.planning.plan import GateSpec, Plan

__all__ = ["ARRIVALS", "LINKS", "LOAD", "PLANS", "SLOW_DOWN", "TIERS", "PlanShape", "network_of", "plan_of"]

TIERS = ("device", "edge", "cloud")
#: how many times slower than the machine each tier is declared
SLOW_DOWN = (200.0, 50.0, 1.0)


class PlanShape(BaseModel):
    """What a plan is made of: one letter of its tier's name for each segment, one threshold for each early exit."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    placement: str
    thresholds: tuple[float | None, ...]
    codec: str


def _shape(placement: str, first: float | None, second: float | None, codec: str = "raw") -> PlanShape:
    return PlanShape(placement=placement, thresholds=(first, second), codec=codec)


#: a plan for every shape that three tiers allow, with exits off, careful and eager, both lossless codecs
PLANS = {
    "device, no exits": _shape("ddd", None, None),
    "device, careful": _shape("ddd", 0.8, 0.8),
    "edge, no exits": _shape("eee", None, None, "zstd"),
    "edge, careful": _shape("eee", 0.9, 0.9),
    "cloud, no exits": _shape("ccc", None, None),
    "cloud, eager, zstd": _shape("ccc", 0.6, 0.6, "zstd"),
    "device-edge, careful, zstd": _shape("dde", 0.8, 0.8, "zstd"),
    "device-edge, eager, raw": _shape("dee", 0.7, 0.7),
    "device-cloud, careful, zstd": _shape("ddc", 0.9, 0.9, "zstd"),
    "device-cloud, eager, raw": _shape("dcc", 0.6, 0.6),
    "device-edge-cloud, careful, zstd": _shape("dec", 0.8, 0.8, "zstd"),
    "edge-cloud, eager, raw": _shape("eec", 0.7, 0.7),
}

#: (bits per second, round trip in seconds) of device-edge and edge-cloud
LINKS = {
    "slow": ((2e6, 0.040), (20e6, 0.020)),
    "medium": ((10e6, 0.020), (50e6, 0.020)),
    "fast": ((50e6, 0.005), (200e6, 0.010)),
}

#: plans that also get samples at random times, at this share of what their busiest tier or link can do
ARRIVALS = ("device, careful", "edge, no exits", "device-edge, careful, zstd", "device-edge-cloud, careful, zstd")
LOAD = 0.6


def network_of(name: str, links: tuple[tuple[float, float], ...], slow_down: tuple[float, ...]) -> Network:
    """Three tiers in a chain.

    Examples
    --------
    >>> network_of("fast", LINKS["fast"], SLOW_DOWN).links[0].bandwidth_bps
    50000000.0
    """
    tiers = tuple(Tier(tier, slow) for tier, slow in zip(TIERS, slow_down, strict=True))
    pairs = zip(TIERS, TIERS[1:], links, strict=False)
    return Network(tiers, tuple(Link(here, there, bps, rtt_s) for here, there, (bps, rtt_s) in pairs), name)


def plan_of(shape: PlanShape, cascade: str, fingerprint: str, temperatures: tuple[float, ...]) -> Plan:
    """The plan of a shape, for one build of a cascade."""
    letters = {tier[0]: tier for tier in TIERS}
    return Plan(
        cascade=cascade,
        cascade_fingerprint=fingerprint,
        tiers=TIERS,
        placement=tuple(letters[letter] for letter in shape.placement),
        gates=tuple(GateSpec(threshold=threshold) for threshold in shape.thresholds),
        temperatures=temperatures,
        codec=shape.codec,
        planner="study",
    )
