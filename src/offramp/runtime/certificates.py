"""The PEM files by which a tier proves who it is, checked before they are used."""

from __future__ import annotations

import logging
import ssl
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from offramp.errors import ConfigError

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

__all__ = ["Identity", "read_authorities", "require_valid"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """A certificate and its private key, as PEM, and the ``files`` they are from.

    The key is never shown.
    """

    certificate: bytes
    key: bytes
    files: tuple[str, str]

    @classmethod
    def read(cls, certificate: str | Path, key: str | Path, now: datetime | None = None) -> Identity:
        """Read and check both files.

        Parameters
        ----------
        certificate : PEM, the own certificate first, then those between it and the authority
        key : its private key, PEM, not encrypted
        now : to judge dates by; default: this moment

        Raises
        ------
        ConfigError : a file cannot be read, a certificate is not valid now, or the key belongs to another one
        """
        chain, secret = _bytes_of(certificate, "certificate"), _bytes_of(key, "key")
        own = _certificates(chain, certificate)
        require_valid(own, str(certificate), now)
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

        try:
            private: Any = load_pem_private_key(secret, None)
        except (ValueError, TypeError) as error:
            raise ConfigError(f"{key}: this is no unencrypted private key in PEM form") from error
        form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        if private.public_key().public_bytes(*form) != own[0].public_key().public_bytes(*form):
            raise ConfigError(f"{key}: this private key does not belong to the certificate {certificate}")
        if Path(key).stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            _log.warning("%s: the private key is open to others than its owner; run 'chmod 600' on it", key)
        return cls(chain, secret, (str(certificate), str(key)))

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have a context show it."""
        context.load_cert_chain(*self.files)

    def __repr__(self) -> str:
        return f"Identity(files={self.files!r})"


def read_authorities(path: str | Path, now: datetime | None = None) -> bytes:
    """The PEM file of who signs certificates, checked.

    Raises
    ------
    ConfigError : it cannot be read, or one in it is not valid now
    """
    content = _bytes_of(path, "CA")
    require_valid(_certificates(content, path), str(path), now)
    return content


def require_valid(certificates: Sequence[Certificate], where: str, now: datetime | None = None) -> None:
    """Refuse certificates whose time is over, or has not come.

    Raises
    ------
    ConfigError : naming which, and when
    """
    moment = now or datetime.now(UTC)
    for certificate in certificates:
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        if moment > end:
            raise ConfigError(
                f"{where}: the certificate of {_name(certificate)!r} expired on {end:%Y-%m-%d %H:%M} UTC; "
                "put a new one there ('offramp certs' makes one for development)"
            )
        if moment < begin:
            raise ConfigError(
                f"{where}: the certificate of {_name(certificate)!r} is valid only from {begin:%Y-%m-%d %H:%M} UTC on; "
                "check this machine's clock"
            )


def _bytes_of(path: str | Path, what: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the {what} file ({error.strerror})") from error


def _certificates(content: bytes, path: str | Path) -> Sequence[Certificate]:
    try:
        from cryptography.x509 import load_pem_x509_certificates
    except ImportError as error:
        raise ConfigError("TLS needs the library cryptography; install offramp[security]") from error
    try:
        return load_pem_x509_certificates(content)
    except ValueError as error:
        raise ConfigError(f"{path}: this holds no certificate in PEM form") from error


def _name(certificate: Certificate) -> str:
    from cryptography.x509.oid import NameOID

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()
