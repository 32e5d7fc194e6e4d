"""``HOST:PORT``, as written in network files and options."""

from __future__ import annotations

from typing import NamedTuple

from offramp.errors import ConfigError

__all__ = ["Address"]


class Address(NamedTuple):
    """Where a server listens; port 0 asks for a free one.

    Examples
    --------
    >>> Address.parse("[::1]:8001")
    Address(host='::1', port=8001)
    >>> str(Address("127.0.0.1", 0))
    '127.0.0.1:0'
    """

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Address:
        """Read ``HOST:PORT``.

        Raises
        ------
        ConfigError : anything else, or a port above 65535
        """
        host, _, port = text.strip().rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not (host and port.isascii() and port.isdigit() and int(port) < 65536):
            raise ConfigError(f"an address must be HOST:PORT with a port of 0 to 65535, not {text!r}")
        return cls(host, int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
