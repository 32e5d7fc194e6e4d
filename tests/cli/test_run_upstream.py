"""Where 'offramp run' finds the next tier."""

from __future__ import annotations

import pytest

from offramp.cli.run import upstream_addresses
from offramp.errors import ConfigError
from offramp.links.network import Link, Network, Tier


def network(cloud: Tier) -> Network:
    return Network((Tier("device"), cloud), (Link("device", "cloud", 1e6),))


def test_a_tier_a_model_server_or_nobody() -> None:
    assert upstream_addresses(network(Tier("cloud")), None) is None
    assert upstream_addresses(network(Tier("cloud", address="c:1")), "cloud") == ("c:1",)
    assert upstream_addresses(network(Tier("cloud", address="c:1, d:1", protocol="oip")), "cloud") == (
        "oip://c:1",
        "oip://d:1",
    )
    with pytest.raises(ConfigError, match="has no address"):
        upstream_addresses(network(Tier("cloud")), "cloud")
