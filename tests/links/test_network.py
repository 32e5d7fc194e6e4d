"""Network files: what they may say, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from offramp.errors import ConfigError
from offramp.links.address import Address
from offramp.links.network import Link, Network, Tier, load_network, parse_network

GOOD = """
name = "three"
[[tiers]]
name = "device"
slow_down = 20
[[tiers]]
name = "edge"
slow_down = 4
address = "127.0.0.1:8001"
[[tiers]]
name = "cloud"
address = "127.0.0.1:8002"
[[links]]
source = "device"
target = "edge"
bandwidth_bps = 5e6
rtt_s = 0.02
[[links]]
source = "edge"
target = "cloud"
bandwidth_bps = 50e6
rtt_s = 0.04
"""


def test_a_good_file(tmp_path: Path) -> None:
    file = tmp_path / "network.toml"
    file.write_text(GOOD)
    network = load_network(file)
    assert network.name == "three"
    assert network.tier_names == ("device", "edge", "cloud")
    assert network.tier("edge") == Tier("edge", 4.0, "127.0.0.1:8001")
    assert network.links[1] == Link("edge", "cloud", 50e6, 0.04)
    assert network.with_link(0, bandwidth_bps=1e6).links[0].bandwidth_bps == 1e6
    assert network == parse_network(GOOD)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"edge"\nbandwidth', '"egde"\nbandwidth', "unknown tier 'egde'; did you mean 'edge'?"),
        ('"edge"\nbandwidth', '"moon"\nbandwidth', "unknown tier 'moon'; the tiers are device, edge, cloud"),
        ("bandwidth_bps = 5e6", "bandwidth_bps = 0", "link device-edge: bandwidth_bps must be a positive number"),
        ("bandwidth_bps = 5e6", "bandwidth_bps = -1", "bandwidth_bps must be a positive number, not -1.0"),
        ("bandwidth_bps = 5e6", "bandwidth_bps = nan", "bandwidth_bps must be a positive number, not nan"),
        ("bandwidth_bps = 5e6", "bandwidth_bps = inf", "bandwidth_bps must be a positive number, not inf"),
        ("bandwidth_bps = 5e6", 'bandwidth_bps = "fast"', "bandwidth_bps must be a number, not 'fast'"),
        ("bandwidth_bps = 5e6", "bandwidth_bps = true", "bandwidth_bps must be a number, not True"),
        ("bandwidth_bps = 5e6", "bandwith_bps = 5e6", "unknown key 'bandwith_bps'; did you mean 'bandwidth_bps'?"),
        ("bandwidth_bps = 5e6", "", r"links\[0\]: bandwidth_bps is missing"),
        ("rtt_s = 0.02", "rtt_s = -0.02", "rtt_s must be zero or more, not -0.02"),
        ("rtt_s = 0.02", "price_per_byte = nan", "price_per_byte must be zero or more"),
        ("slow_down = 20", "slow_down = 0.5", "tier 'device': slow_down must be at least 1, not 0.5"),
        ("slow_down = 20", "slow_down = nan", "slow_down must be at least 1, not nan"),
        ("slow_down = 20", 'address = "nowhere"', "address must be HOST:PORT, not 'nowhere'"),
        ("slow_down = 20", 'address = "host:0"', "address must be HOST:PORT"),
        ("slow_down = 20", 'address = "127.0.0.1:8001"', "two tiers share an address"),
        ("slow_down = 20", 'address = "127.0.0.1:8009, 127.0.0.1:8001"', "two tiers share an address"),
        ("slow_down = 20", 'address = "127.0.0.1:8009,"', "address must be HOST:PORT"),
        ("slow_down = 20", "memory_bytes = 0", "tier 'device': memory_bytes must be a positive number, not 0.0"),
        ("slow_down = 20", "memory_bytes = nan", "memory_bytes must be a positive number, not nan"),
        ("slow_down = 20", "price_per_s = -1", "tier 'device': price_per_s must be zero or more, not -1.0"),
        ("slow_down = 20", "price_per_s = inf", "price_per_s must be zero or more, not inf"),
        ("slow_down = 20", 'energy = ""', "tier 'device': energy must name an energy model"),
        ("slow_down = 20", "energy = 3", r"tiers\[0\]: energy must be text, not 3"),
        ('name = "cloud"', 'name = "edge"', "two tiers share a name"),
        ('name = "cloud"', 'name = ""', "a tier needs a name"),
        ('name = "cloud"', "slow_down = 2", r"tiers\[2\]: name is missing"),
        (
            'source = "device"\ntarget = "edge"',
            'source = "edge"\ntarget = "device"',
            "in order .device-edge, edge-cloud.",
        ),
        ('source = "device"\ntarget = "edge"', 'source = "device"\ntarget = "cloud"', "not device-cloud, edge-cloud"),
        ('name = "three"', 'title = "three"', "unknown key 'title'; known are name, tiers, links"),
        ('name = "three"', "name = three", "not valid TOML"),
    ],
)
def test_what_is_refused(tmp_path: Path, old: str, new: str, words: str) -> None:
    assert old in GOOD
    file = tmp_path / "network.toml"
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigError, match=words) as caught:
        load_network(file)
    assert len(str(caught.value).splitlines()) == 1


def test_what_a_tier_declares() -> None:
    declared = 'slow_down = 20\nmemory_bytes = 1e9\nprice_per_s = 1e-5\nenergy = "horowitz-45nm"'
    device = parse_network(GOOD.replace("slow_down = 20", declared)).tier("device")
    assert device == Tier("device", 20.0, None, 1e9, 1e-5, "horowitz-45nm")
    plain = parse_network(GOOD).tier("device")
    assert (plain.memory_bytes, plain.price_per_s, plain.energy) == (float("inf"), 0.0, None)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read the network file"):
        load_network(tmp_path / "none.toml")


def test_no_tiers() -> None:
    with pytest.raises(ConfigError, match="at least one tier"):
        parse_network("")
    with pytest.raises(ConfigError, match=r"write \[\[tiers\]\]"):
        parse_network('[tiers]\nname = "device"')


def test_missing_links() -> None:
    with pytest.raises(ConfigError, match="not none"):
        Network((Tier("device"), Tier("cloud")))
    assert Network((Tier("device"),)).links == ()


def test_looking_up_a_tier() -> None:
    with pytest.raises(ConfigError, match="unknown tier 'devise'; the tiers are device, edge, cloud; did you mean"):
        parse_network(GOOD).tier("devise")


def test_changing_a_link_keeps_the_rules() -> None:
    with pytest.raises(ConfigError, match="positive number"):
        parse_network(GOOD).with_link(0, bandwidth_bps=0.0)


@pytest.mark.parametrize("text", ["127.0.0.1:8001", "host.example:1", "[::1]:65535"])
def test_addresses_round_trip(text: str) -> None:
    assert str(Address.parse(text)) == text


def test_a_plain_model_server_is_the_last_tier() -> None:
    text = """
    [[tiers]]
    name = "device"
    [[tiers]]
    name = "edge"
    protocol = "{edge}"
    [[tiers]]
    name = "cloud"
    protocol = "{cloud}"
    [[links]]
    source = "device"
    target = "edge"
    bandwidth_bps = 1e6
    [[links]]
    source = "edge"
    target = "cloud"
    bandwidth_bps = 1e6
    """
    assert parse_network(text.format(edge="offramp", cloud="oip")).tier("cloud").protocol == "oip"
    with pytest.raises(ConfigError, match="it must be the last tier, which is 'cloud'"):
        parse_network(text.format(edge="oip", cloud="offramp"))
    with pytest.raises(ConfigError, match="protocol must be offramp or oip, not 'http'"):
        parse_network(text.format(edge="offramp", cloud="http"))
