"""What a client needs to be let in by a tier: whom it trusts, who it is, the tier's token."""

from __future__ import annotations

import logging
import socket
import ssl
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

import grpc
import grpc.aio

from offramp.errors import ConfigError
from offramp.links.address import Address
from offramp.links.network import Network
from offramp.runtime.certificates import Identity, read_authorities, require_valid
from offramp.runtime.tokens import Token, token_for

__all__ = ["OPEN", "Access"]

#: seconds that finding out why there is no connection may take
EXPLAIN_S = 2.0
NOT_LET_IN = "the server closed the connection right after the handshake: it asks for a certificate this client lacks"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Access:
    """How to connect to a tier's server.

    Parameters
    ----------
    tls : whether the connection is encrypted and the server must prove who it is
    authorities : PEM of who signs the server's certificate; ``None``: those this machine trusts
    identity : what the client proves itself by, where the server asks
    token : sent with every call
    authorities_file : where ``authorities`` are from
    """

    tls: bool = False
    authorities: bytes | None = None
    identity: Identity | None = None
    token: Token | None = None
    authorities_file: str | None = None

    @classmethod
    def between(cls, network: Network, source: str, target: str) -> Access:
        """How tier ``source`` connects to tier ``target``, as the network file says.

        Raises
        ------
        ConfigError : a file is missing or damaged, a certificate is not valid now
        """
        mine, theirs = network.tier(source), network.tier(target)
        token = token_for(target, theirs.token_file)
        if theirs.tls is None:
            if token is not None and not all(map(_is_local, theirs.addresses)):
                _log.warning("the token of tier %r travels in the clear; give the tier tls", target)
            return cls(token=token)
        identity = None
        if theirs.tls == "mutual":
            if mine.certificate is None or mine.key is None:
                raise ConfigError(
                    f'{network.name}: tier {target!r} has tls = "mutual", but tier {source!r} has no certificate '
                    "and key to show; add both"
                )
            identity = Identity.read(mine.certificate, mine.key)
        return cls(True, None if theirs.ca is None else read_authorities(theirs.ca), identity, token, theirs.ca)

    def renewed(self) -> Access:
        """The same with what its files hold now; itself where that cannot be used."""
        try:
            return replace(
                self,
                authorities=self.authorities
                if self.authorities_file is None
                else read_authorities(self.authorities_file),
                identity=None if self.identity is None else Identity.read(*self.identity.files),
            )
        except ConfigError as error:
            _log.warning("what is on disk is not used: %s", error)
            return self

    def open_channel(self, address: str, options: list[tuple[str, int]]) -> grpc.aio.Channel:
        """A channel to a server; connects in the background."""
        if not self.tls:
            return grpc.aio.insecure_channel(address, options=options)
        identity = self.identity
        credentials = grpc.ssl_channel_credentials(
            self.authorities,
            None if identity is None else identity.key,
            None if identity is None else identity.certificate,
        )
        return grpc.aio.secure_channel(address, credentials, options=options)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call."""
        return () if self.token is None else (self.token.header,)

    def explain(self, address: str) -> str | None:
        """Why a server does not let us in, as far as a handshake tells; blocks for some seconds.

        gRPC itself only says that there is no connection.
        """
        if not self.tls:
            return None
        where = Address.parse(address)
        context = ssl.create_default_context(cadata=None if self.authorities is None else self.authorities.decode())
        context.set_alpn_protocols(["h2"])
        if self.identity is not None:
            self.identity.load_into(context)
        try:
            with (
                socket.create_connection(where, EXPLAIN_S) as plain,
                context.wrap_socket(plain, server_hostname=where.host) as secured,
            ):
                if not secured.recv(1):  # a server that lets us in speaks first
                    return NOT_LET_IN
        except ssl.SSLCertVerificationError as error:
            return _expired(where) or f"its certificate is not to be trusted: {error.verify_message}"
        except ssl.SSLError as error:
            return f"the TLS handshake failed: {(error.reason or str(error)).replace('_', ' ').lower()}"
        except ConnectionResetError:
            return NOT_LET_IN
        except OSError as error:
            return error.strerror or str(error)
        return None


#: no TLS, no token
OPEN = Access()


def _expired(where: Address) -> str | None:
    """Whether the server's certificate is not valid now, in words."""
    from cryptography.x509 import load_der_x509_certificate

    context: Any = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # to read its dates, nothing is sent
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection(where, EXPLAIN_S) as plain,
            context.wrap_socket(plain, server_hostname=where.host) as secured,
        ):
            shown = secured.getpeercert(binary_form=True)
    except OSError:
        return None
    try:
        require_valid([load_der_x509_certificate(shown)], "the server")
    except ConfigError as error:
        return str(error)
    return None


def _is_local(address: str) -> bool:
    host = Address.parse(address).host
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
