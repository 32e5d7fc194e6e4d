"""Clients of the next tier, by what is written where its address is asked for."""

from __future__ import annotations

from typing import Any

from offramp.errors import ConfigError
from offramp.links.address import Address
from offramp.runtime.plain_upstream import PlainUpstream
from offramp.runtime.tier import Tier
from offramp.runtime.upstream import Upstream

__all__ = ["require_upstream", "upstream_to"]

#: how a plain model server is told from a tier
PLAIN = "oip"


def require_upstream(text: str) -> tuple[str, str]:
    """Protocol (empty: a tier of offramp) and ``HOST:PORT``.

    Raises
    ------
    ConfigError : neither ``HOST:PORT`` nor ``oip://HOST:PORT``

    Examples
    --------
    >>> require_upstream("oip://cloud:8001")
    ('oip', 'cloud:8001')
    """
    protocol, _, address = text.strip().rpartition("://")
    if protocol not in ("", PLAIN):
        raise ConfigError(
            f"an upstream must be HOST:PORT of a tier or {PLAIN}://HOST:PORT of a model server, not {text!r}"
        )
    Address.parse(address)
    return protocol, address


def upstream_to(text: str, tier: Tier, **options: Any) -> Upstream:
    """The client of a next tier, not started.

    Parameters
    ----------
    text : ``HOST:PORT`` of a tier, or ``oip://HOST:PORT`` of a plain model server with exported tails
    tier : who asks
    options : as those of `Upstream`

    Raises
    ------
    ConfigError : it is neither
    """
    protocol, address = require_upstream(text)
    return PlainUpstream(address, tier, **options) if protocol else Upstream(address, tier.counters, **options)
