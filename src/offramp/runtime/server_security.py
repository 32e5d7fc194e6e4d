"""Whom a tier's server lets in: TLS, client certificates, tokens."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import grpc
import grpc.aio

from offramp.errors import AddressInUse, ConfigError
from offramp.links.address import Address
from offramp.links.network import Network
from offramp.runtime.certificates import Identity, read_authorities
from offramp.runtime.health import CHECK, WATCH
from offramp.runtime.tokens import Token, token_for

__all__ = ["ServerSecurity"]

#: calls that say no more than that a server is there, so that health checks need no token
_OPEN = ("/inference.GRPCInferenceService/ServerLive", "/inference.GRPCInferenceService/ServerReady", CHECK, WATCH)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ServerSecurity:
    """How a tier's server proves who it is, and what it asks of those who ask it.

    Parameters
    ----------
    identity : what it shows; ``None``: no TLS
    authorities : PEM file of who signs the certificates clients must show; ``None``: they need none
    token : what they must send with every call but health checks; ``None``: nothing
    """

    identity: Identity | None = None
    authorities: str | None = None
    token: Token | None = None

    @classmethod
    def of(cls, network: Network, name: str) -> ServerSecurity:
        """What the network file says of a tier's server.

        Raises
        ------
        ConfigError : a file is missing or damaged, a certificate is not valid now
        """
        tier = network.tier(name)
        token = token_for(name, tier.token_file)
        if tier.tls is None:
            return cls(token=token)
        if tier.certificate is None or tier.key is None:
            raise ConfigError(f'{network.name}: tier {name!r} has tls = "{tier.tls}", but no certificate and key')
        if tier.tls == "mutual" and tier.ca is None:
            raise ConfigError(f'{network.name}: tier {name!r} has tls = "mutual", but no ca to check clients by')
        authorities = None
        if tier.ca is not None:
            read_authorities(tier.ca)
            authorities = tier.ca if tier.tls == "mutual" else None
        return cls(Identity.read(tier.certificate, tier.key), authorities, token)

    def listen(self, server: Any, where: Address) -> int:
        """Have a gRPC server listen; returns the port.

        Certificates are read again when their files have changed, so that they can be renewed while it runs.

        Raises
        ------
        AddressInUse : something else listens there
        """
        try:
            if self.identity is None:
                return int(server.add_insecure_port(str(where)))
            return int(server.add_secure_port(str(where), self._credentials()))
        except RuntimeError as error:
            raise AddressInUse(
                f"cannot listen on {where}: the port is taken or not ours; choose another with --listen, or port 0"
            ) from error

    def _credentials(self) -> Any:
        files = _Renewed(self)
        return grpc.dynamic_ssl_server_credentials(files.configuration(), files, self.authorities is not None)

    def interceptors(self) -> list[Any]:
        """What checks every gRPC call."""
        return [] if self.token is None else [_TokenCheck(self.token)]

    def context(self) -> ssl.SSLContext | None:
        """The same TLS for servers that are not gRPC; certificates are read again when their files have changed."""
        if self.identity is None:
            return None
        files, newest = _Renewed(self), self._tls(self.identity)

        def show_the_newest(connection: ssl.SSLObject, name: str, of: ssl.SSLContext) -> None:
            nonlocal newest
            if files.changed():
                newest = self._tls(files.identity)
            connection.context = newest

        context = self._tls(self.identity)
        context.sni_callback = show_the_newest
        return context

    def _tls(self, identity: Identity) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        identity.load_into(context)
        if self.authorities is not None:
            context.load_verify_locations(self.authorities)
            context.verify_mode = ssl.CERT_REQUIRED
        return context

    @property
    def authorise(self) -> Callable[[str | None], bool] | None:
        """What decides by the ``Authorization`` header of HTTP."""
        return None if self.token is None else self.token.allows


class _Renewed:
    """The certificate as its files hold it, read again when they have changed; gRPC asks at every handshake."""

    def __init__(self, security: ServerSecurity) -> None:
        assert security.identity is not None
        self.identity = security.identity
        self._authorities = security.authorities
        self._seen = self._stamps()

    def configuration(self) -> Any:
        authorities = None if self._authorities is None else read_authorities(self._authorities)
        pair = [(self.identity.key, self.identity.certificate)]
        return grpc.ssl_server_certificate_configuration(pair, authorities)

    def __call__(self) -> Any:
        return self.configuration() if self.changed() else None

    def changed(self) -> bool:
        """Whether the files hold something else than before, and it can be used."""
        try:
            found = self._stamps()
            if found == self._seen:
                return False
            self._seen = found
            renewed = Identity.read(*self.identity.files)
            if self._authorities is not None:
                read_authorities(self._authorities)
        except (OSError, ConfigError) as error:
            _log.error("the new certificate is not used, the old one stays: %s", error)
            return False
        self.identity = renewed
        return True

    def _stamps(self) -> list[tuple[int, int]]:
        files = [*self.identity.files, *([self._authorities] if self._authorities is not None else [])]
        return [(os.stat(file).st_mtime_ns, os.stat(file).st_size) for file in files]


class _TokenCheck(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]  # generic in grpc-stubs only
    """Refuses calls without the token, before a message is read."""

    def __init__(self, token: Token) -> None:
        self._token = token

    async def intercept_service(self, continuation: Callable[[Any], Awaitable[Any]], details: Any) -> Any:
        """Let a call through, or answer it with ``UNAUTHENTICATED``."""
        handler = await continuation(details)
        if handler is None or details.method in _OPEN:
            return handler
        header = next((value for key, value in details.invocation_metadata if key == "authorization"), None)
        if isinstance(header, bytes):
            header = header.decode(errors="replace")
        if self._token.allows(header):
            return handler
        return _refusing(handler)


def _refusing(handler: Any) -> Any:
    """A handler of the same kind that only says no."""

    async def refuse(request: Any, context: Any) -> None:
        why = "the token is missing or wrong; send this tier's token as 'authorization: Bearer TOKEN'"
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, why)

    make = grpc.stream_stream_rpc_method_handler if handler.request_streaming else grpc.unary_unary_rpc_method_handler
    return make(refuse, handler.request_deserializer, handler.response_serializer)
