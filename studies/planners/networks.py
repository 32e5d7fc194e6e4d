"""The five networks of the study. All figures are declared, not measured."""

from __future__ import annotations

from offramp.links.network import Link, Network, Tier

__all__ = ["NETWORKS"]


def _two(name: str, bandwidth_bps: float, rtt_s: float) -> Network:
    tiers = (Tier("device", slow_down=20.0), Tier("cloud"))
    return Network(tiers, (Link("device", "cloud", bandwidth_bps, rtt_s),), name)


#: a device 20 times slower than the measuring machine, an edge 4 times, a cloud as it
NETWORKS = (
    _two("3G", 1e6, 0.080),
    _two("LTE", 6e6, 0.040),
    _two("Wi-Fi", 20e6, 0.005),
    _two("fibre", 200e6, 0.002),
    Network(
        (Tier("device", slow_down=20.0), Tier("edge", slow_down=4.0), Tier("cloud")),
        (Link("device", "edge", 20e6, 0.005), Link("edge", "cloud", 50e6, 0.030)),
        "three tiers",
    ),
)
