"""A small certificate authority for development: one folder, one authority, one certificate for each host."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from offramp.errors import ConfigError

__all__ = ["make_certificates"]

CA = "ca"
#: certificates begin a little earlier, for clocks that are late
EARLY = timedelta(hours=1)


def make_certificates(
    folder: str | Path, hosts: Sequence[str], *, days: int = 30, overwrite: bool = False, now: datetime | None = None
) -> list[Path]:
    """Make ``HOST.pem`` and ``HOST.key`` for every host, signed by ``ca.pem``, which is made if it is not there.

    Every certificate is good for its host's name, for ``localhost`` and for the loopback addresses. All files
    are readable by their owner only. Whoever has ``ca.key`` can pass for any tier: keep it off the tiers.

    Parameters
    ----------
    folder : made if it is not there
    hosts : names; ``NAME=ADDRESS`` makes a certificate that is good for ``ADDRESS`` (a host name or an IP address) too
    days : how long they are valid
    overwrite : replace certificates that are there; the authority stays
    now : for their dates; default: this moment

    Returns
    -------
    The files written

    Raises
    ------
    ConfigError : no host, a name that is no file name, a certificate that is there already, or cryptography is missing
    """
    try:
        import cryptography  # noqa: F401 -- an extra: said once, here
    except ImportError as error:
        raise ConfigError("certificates need the library cryptography; install offramp[security]") from error
    target, moment = Path(folder), now or datetime.now(UTC)
    named = [_named(host) for host in hosts]
    if not named or not 1 <= days <= 3650:
        raise ConfigError(f"certificates need one or more hosts and 1 to 3650 days, not {list(hosts)} and {days}")
    taken = [file for name, _ in named for file in _files(target, name) if file.exists()]
    if taken and not overwrite:
        raise ConfigError(f"{taken[0]} is there already; pass --overwrite to replace it")
    target.mkdir(parents=True, exist_ok=True, mode=0o700)
    written: list[Path] = []
    authority = _authority(target, moment, days, written)
    for name, address in named:
        key = _new_key()
        certificate = _certificate(name, address, key.public_key(), authority, moment, days)
        written += _store(target, name, certificate, key)
    return written


def _named(host: str) -> tuple[str, str]:
    name, _, address = host.partition("=")
    if not name or name == CA or not all(c.isalnum() or c in "-._" for c in name) or name.startswith("."):
        raise ConfigError(f"a host must be a name of letters, digits, '-', '.' and '_', and not {CA!r}; not {host!r}")
    return name, address or name


def _files(folder: Path, name: str) -> tuple[Path, Path]:
    return folder / f"{name}.pem", folder / f"{name}.key"


def _authority(folder: Path, moment: datetime, days: int, written: list[Path]) -> tuple[Any, Any]:
    """Certificate and key of the authority: those that are there, or new ones."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
    from cryptography.x509 import load_pem_x509_certificate

    certificate_file, key_file = _files(folder, CA)
    if certificate_file.exists() and key_file.exists():
        certificate = load_pem_x509_certificate(certificate_file.read_bytes())
        if certificate.not_valid_after_utc > moment:
            return certificate, load_pem_private_key(key_file.read_bytes(), None)
    key = _new_key()
    certificate = _certificate("offramp development CA", None, key.public_key(), (None, key), moment, days)
    written += _store(folder, CA, certificate, key)
    return certificate, key


def _new_key() -> Any:
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


def _certificate(
    name: str, address: str | None, public: Any, authority: tuple[Any, Any], moment: datetime, days: int
) -> Any:
    """A signed certificate; without ``address`` that of the authority itself."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    issuer, signer = authority
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    is_authority = address is None
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject if issuer is None else issuer.subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - EARLY)
        .not_valid_after(moment + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=0 if is_authority else None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(_usage(is_authority), critical=True)
    )
    if address is not None:
        purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(_alternatives(name, address)), critical=False)
    return builder.sign(signer, hashes.SHA256())


def _usage(is_authority: bool) -> Any:
    from cryptography.x509 import KeyUsage

    return KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _alternatives(name: str, address: str) -> list[Any]:
    from cryptography import x509

    found: list[Any] = []
    for text in dict.fromkeys((name, address, "localhost", "127.0.0.1", "::1")):
        try:
            found.append(x509.IPAddress(ip_address(text)))
        except ValueError:
            found.append(x509.DNSName(text))
    return found


def _store(folder: Path, name: str, certificate: Any, key: Any) -> list[Path]:
    """Write both files, never readable by others, not even for a moment."""
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    contents = (
        certificate.public_bytes(Encoding.PEM),
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    )
    files = _files(folder, name)
    for file, content in zip(files, contents, strict=True):
        part = file.with_name(file.name + ".part")
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(content)
        os.replace(part, file)
    return list(files)
