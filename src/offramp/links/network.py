"""Tiers and the links between them, and the TOML file that describes them."""

from __future__ import annotations

import itertools
import math
import tomllib
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from offramp.errors import ConfigError
from offramp.links.address import Address

__all__ = ["TLS", "Link", "Network", "Tier", "load_network", "parse_network"]

#: how a tier's server may be secured: it shows a certificate, or both sides do
TLS = ("server", "mutual")
#: what a tier's server speaks: the protocol with our parameters, or the plain Open Inference Protocol
PROTOCOLS = ("offramp", "oip")
#: keys of a tier that name files, relative to the network file
_FILES = ("ca", "certificate", "key", "token_file")


@dataclass(frozen=True, slots=True)
class Tier:
    """A place that computes.

    ``slow_down`` declares it that many times slower than the machine its profile is measured on;
    ``address`` is ``HOST:PORT`` of its server, where it has one, or of several servers that do the same, separated by
    commas, the preferred first; ``memory_bytes`` is what it has for
    models, infinite unless declared; ``price_per_s`` what a second of its compute costs; ``energy`` the
    name or file of its energy model (see `offramp.profiles.energy`).

    ``tls`` is how its server is secured: ``"server"`` (it shows ``certificate``), ``"mutual"`` (who asks must show
    one too) or ``None``. ``certificate`` and ``key`` are the PEM files by which it proves who it is, as server and as
    client; ``ca`` is the PEM file of who signs the certificates around its server; ``token_file`` holds the token
    its server asks for.

    ``protocol`` is ``"oip"`` where another model server (Triton, MLServer, ...) has the exported tails; it must be the
    last tier.
    """

    name: str
    slow_down: float = 1.0
    address: str | None = None
    memory_bytes: float = math.inf
    price_per_s: float = 0.0
    energy: str | None = None
    tls: str | None = None
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    token_file: str | None = None
    protocol: str = "offramp"

    def __post_init__(self) -> None:
        if not self.name:
            raise ConfigError("a tier needs a name")
        if not (math.isfinite(self.slow_down) and self.slow_down >= 1):
            raise ConfigError(f"tier {self.name!r}: slow_down must be at least 1, not {self.slow_down}")
        if self.address is not None and not all(map(_is_address, self.addresses)):
            raise ConfigError(f"tier {self.name!r}: address must be HOST:PORT, not {self.address!r}")
        if not self.memory_bytes > 0:
            raise ConfigError(f"tier {self.name!r}: memory_bytes must be a positive number, not {self.memory_bytes}")
        if not (math.isfinite(self.price_per_s) and self.price_per_s >= 0):
            raise ConfigError(f"tier {self.name!r}: price_per_s must be zero or more, not {self.price_per_s}")
        if self.energy == "":
            raise ConfigError(f"tier {self.name!r}: energy must name an energy model; leave it out where there is none")
        if self.tls not in (None, *TLS):
            raise ConfigError(f"tier {self.name!r}: tls must be {' or '.join(TLS)}, or left out, not {self.tls!r}")
        if self.protocol not in PROTOCOLS:
            raise ConfigError(f"tier {self.name!r}: protocol must be {' or '.join(PROTOCOLS)}, not {self.protocol!r}")
        if (self.certificate is None) != (self.key is None):
            raise ConfigError(f"tier {self.name!r}: certificate and key belong together; give both or neither")

    @property
    def addresses(self) -> tuple[str, ...]:
        """``HOST:PORT`` of each of its servers, the preferred first.

        Examples
        --------
        >>> Tier("cloud", address="10.0.0.2:8001, 10.0.0.3:8001").addresses
        ('10.0.0.2:8001', '10.0.0.3:8001')
        """
        return tuple(part.strip() for part in self.address.split(",")) if self.address is not None else ()


@dataclass(frozen=True, slots=True)
class Link:
    """What joins two neighbouring tiers; the same rate both ways, ``rtt_s`` there and back.

    Examples
    --------
    >>> Link("device", "edge", bandwidth_bps=5e6, rtt_s=0.02).transfer_s(625)
    0.001
    """

    source: str
    target: str
    bandwidth_bps: float
    rtt_s: float = 0.0
    energy_j_per_byte: float = 0.0
    price_per_byte: float = 0.0

    def __post_init__(self) -> None:
        where = f"link {self.source}-{self.target}"
        if not (math.isfinite(self.bandwidth_bps) and self.bandwidth_bps > 0):
            raise ConfigError(f"{where}: bandwidth_bps must be a positive number, not {self.bandwidth_bps}")
        for name in ("rtt_s", "energy_j_per_byte", "price_per_byte"):
            value = getattr(self, name)
            if not (math.isfinite(value) and value >= 0):
                raise ConfigError(f"{where}: {name} must be zero or more, not {value}")

    def transfer_s(self, payload_bytes: float) -> float:
        """Seconds the bytes need at this rate, delay not counted."""
        return payload_bytes * 8.0 / self.bandwidth_bps


@dataclass(frozen=True, slots=True)
class Network:
    """A chain of tiers, device first, and one link between each two neighbours.

    Raises
    ------
    ConfigError : names repeat, or the links do not join the tiers one after the other

    Examples
    --------
    >>> network = Network((Tier("device"), Tier("cloud")), (Link("device", "cloud", 1e6),))
    >>> network.tier_names
    ('device', 'cloud')
    """

    tiers: tuple[Tier, ...]
    links: tuple[Link, ...] = field(default=())
    name: str = "network"

    def __post_init__(self) -> None:
        if not self.tiers:
            raise ConfigError(f"{self.name}: at least one tier is needed")
        names = self.tier_names
        if len(set(names)) != len(names):
            raise ConfigError(f"{self.name}: two tiers share a name: {', '.join(names)}")
        for link in self.links:
            for end in (link.source, link.target):
                if end not in names:
                    near = get_close_matches(end, names, n=1)
                    hint = f"; did you mean {near[0]!r}?" if near else f"; the tiers are {', '.join(names)}"
                    raise ConfigError(f"{self.name}: link {link.source}-{link.target}: unknown tier {end!r}{hint}")
        expected = list(itertools.pairwise(names))
        found = [(link.source, link.target) for link in self.links]
        if found != expected:
            wanted = ", ".join(f"{a}-{b}" for a, b in expected) or "none"
            raise ConfigError(
                f"{self.name}: the links must join neighbouring tiers in order ({wanted}), "
                f"not {', '.join(f'{a}-{b}' for a, b in found) or 'none'}"
            )
        for tier in self.tiers[:-1]:
            if tier.protocol == "oip":
                raise ConfigError(
                    f'{self.name}: tier {tier.name!r} has protocol = "oip", but a plain model server sends nothing on: '
                    f"it must be the last tier, which is {names[-1]!r}"
                )
        addresses = [address for tier in self.tiers for address in tier.addresses]
        if len(set(addresses)) != len(addresses):
            raise ConfigError(f"{self.name}: two tiers share an address: {', '.join(addresses)}")

    @property
    def tier_names(self) -> tuple[str, ...]:
        """Names of the tiers, device first."""
        return tuple(tier.name for tier in self.tiers)

    def tier(self, name: str) -> Tier:
        """The tier called ``name``."""
        for tier in self.tiers:
            if tier.name == name:
                return tier
        near = get_close_matches(name, self.tier_names, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise ConfigError(f"{self.name}: unknown tier {name!r}; the tiers are {', '.join(self.tier_names)}{hint}")

    def with_link(self, index: int, **changes: float) -> Network:
        """The same network with one link changed, as when its bandwidth has moved."""
        links = list(self.links)
        links[index] = replace(links[index], **changes)  # type: ignore[arg-type]  # keys are Link's float fields
        return replace(self, links=tuple(links))


def load_network(path: str | Path) -> Network:
    """Read a network file.

    Raises
    ------
    ConfigError : the file is missing, no TOML, or breaks a rule of `Network`, `Tier` or `Link`
    """
    file = Path(path)
    try:
        text = file.read_text()
    except OSError as error:
        raise ConfigError(f"{file}: cannot read the network file ({error.strerror})") from error
    try:
        network = parse_network(text, name=file.name)
    except ConfigError as error:
        message = str(error)
        raise ConfigError(message if message.startswith(file.name) else f"{file.name}: {message}") from error
    return replace(network, tiers=tuple(_beside(tier, file.parent) for tier in network.tiers))


def _beside(tier: Tier, folder: Path) -> Tier:
    """The tier with the files it names found from the network file's folder."""
    named = {key: str(folder / value) for key in _FILES if (value := getattr(tier, key)) is not None}
    return replace(tier, **named) if named else tier  # type: ignore[arg-type]  # all of these are text


def parse_network(text: str, name: str = "network") -> Network:
    """Read a network from TOML text.

    Examples
    --------
    >>> parse_network('''
    ... [[tiers]]
    ... name = "device"
    ... slow_down = 20
    ... [[tiers]]
    ... name = "cloud"
    ... [[links]]
    ... source = "device"
    ... target = "cloud"
    ... bandwidth_bps = 5e6
    ... rtt_s = 0.02
    ... ''').links[0].rtt_s
    0.02
    """
    try:
        body = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{name}: not valid TOML: {error}") from error
    unknown = sorted(set(body) - {"name", "tiers", "links"})
    if unknown:
        raise ConfigError(f"{name}: unknown key {unknown[0]!r}; known are name, tiers, links")
    tiers = tuple(_build(Tier, row, f"{name}: tiers[{i}]") for i, row in enumerate(_rows(body, "tiers", name)))
    links = tuple(_build(Link, row, f"{name}: links[{i}]") for i, row in enumerate(_rows(body, "links", name)))
    return Network(tiers, links, str(body.get("name", name)))


def _rows(body: dict[str, Any], key: str, name: str) -> list[dict[str, Any]]:
    rows = body.get(key, [])
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ConfigError(f"{name}: {key} must be a list of tables: write [[{key}]]")
    return rows


def _build(kind: type[Any], row: dict[str, Any], where: str) -> Any:
    names = list(kind.__dataclass_fields__)
    for key, value in row.items():
        if key not in names:
            near = get_close_matches(key, names, n=1)
            raise ConfigError(f"{where}: unknown key {key!r}" + (f"; did you mean {near[0]!r}?" if near else ""))
        wants_text = key in ("name", "source", "target", "address", "energy", "tls", "protocol", *_FILES)
        if isinstance(value, str) != wants_text or isinstance(value, bool):
            raise ConfigError(f"{where}: {key} must be {'text' if wants_text else 'a number'}, not {value!r}")
    required = [
        f.name for f in kind.__dataclass_fields__.values() if f.name in ("name", "source", "target", "bandwidth_bps")
    ]
    for key in required:
        if key not in row:
            raise ConfigError(f"{where}: {key} is missing")
    numbers = {k: v if isinstance(v, str) else float(v) for k, v in row.items()}
    return kind(**numbers)


def _is_address(text: str) -> bool:
    try:
        return Address.parse(text).port > 0
    except ConfigError:
        return False
