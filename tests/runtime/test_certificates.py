"""Certificates: who is let in by them, and what is said of bad ones."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import ssl
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from offramp.cascade.store import Cascade
from offramp.errors import ConfigError, LinkDown
from offramp.links.network import Link, Network, Tier, load_network
from offramp.planning.plan import Plan
from offramp.runtime.access import Access
from offramp.runtime.certificates import Identity, read_authorities
from offramp.runtime.counters import Counters
from offramp.runtime.development_ca import make_certificates
from offramp.runtime.loop import run_in_background
from offramp.runtime.server_security import ServerSecurity
from offramp.runtime.upstream import Upstream
from tests.runtime.secured import asked, network_of, serving
from tests.runtime.support import plan_of
from tests.runtime.test_service import request_for
from tests.support.tiny import make_tiny_cascade, tiny_rows


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    make_certificates(tmp_path / "certs", ["device", "cloud"])
    return tmp_path / "certs"


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


@pytest.fixture
def plan(cascade: Cascade) -> Plan:
    return plan_of(cascade, ("cloud",) * 3, (0.6, 0.8))


def test_over_tls_it_answers(cascade: Cascade, plan: Plan, certs: Path) -> None:
    network = network_of(certs)
    with serving(cascade, plan, ServerSecurity.of(network, "cloud")) as address:
        reply = asked(address, Access.between(network, "device", "cloud"), cascade, plan)
    assert reply.outputs[0].shape == [2]


def test_mutual_tls_lets_in_who_has_a_certificate(cascade: Cascade, plan: Plan, certs: Path) -> None:
    network = network_of(certs, "mutual")
    access = Access.between(network, "device", "cloud")
    with serving(cascade, plan, ServerSecurity.of(network, "cloud")) as address:
        assert asked(address, access, cascade, plan).outputs[0].shape == [2]
        nobody = Access(True, access.authorities)
        with pytest.raises(LinkDown, match="no connection to the next tier"):
            asked(address, nobody, cascade, plan, 0.5)
        assert "asks for a certificate this client lacks" in (nobody.explain(address) or "")


def test_a_stranger_is_not_trusted(cascade: Cascade, plan: Plan, certs: Path, tmp_path: Path) -> None:
    make_certificates(tmp_path / "other", ["cloud"])
    stranger = network_of(tmp_path / "other")
    with serving(cascade, plan, ServerSecurity.of(stranger, "cloud")) as address:
        access = Access.between(network_of(certs), "device", "cloud")
        with pytest.raises(LinkDown):
            asked(address, access, cascade, plan, 0.5)
        assert "not to be trusted" in (access.explain(address) or "")


def test_the_reason_for_no_connection_is_told(
    cascade: Cascade, plan: Plan, certs: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    past = datetime.now(UTC) - timedelta(days=10)
    make_certificates(certs, ["late"], days=3, now=past)
    expired = Identity.read(certs / "late.pem", certs / "late.key", now=past)
    with serving(cascade, plan, ServerSecurity(expired)) as address:
        access = Access.between(network_of(certs), "device", "cloud")
        sentence = access.explain(address)
        assert sentence is not None
        assert f"the certificate of 'late' expired on {past + timedelta(days=3):%Y-%m-%d %H:%M} UTC" in sentence
        with caplog.at_level(logging.WARNING), pytest.raises(LinkDown, match="'late' expired on"):
            asked(address, access, cascade, plan, 3.0)
    assert any("'late' expired on" in record.message for record in caplog.records)


def test_an_expired_certificate_is_named_with_its_date(certs: Path) -> None:
    past = datetime.now(UTC) - timedelta(days=40)
    make_certificates(certs, ["old"], days=30, now=past)
    with pytest.raises(ConfigError, match=r"old\.pem: the certificate of 'old' expired on 20\d\d-"):
        Identity.read(certs / "old.pem", certs / "old.key")
    with pytest.raises(ConfigError, match=r"the certificate of 'device' is valid only from .* this machine's clock"):
        Identity.read(certs / "device.pem", certs / "device.key", now=past)
    with pytest.raises(ConfigError, match=r"ca\.pem: the certificate of 'offramp development CA' expired on"):
        read_authorities(certs / "ca.pem", now=datetime.now(UTC) + timedelta(days=31))


def test_bad_files_are_named(certs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.pem: cannot read the certificate file"):
        Identity.read(tmp_path / "none.pem", certs / "device.key")
    with pytest.raises(ConfigError, match="does not belong to the certificate"):
        Identity.read(certs / "device.pem", certs / "cloud.key")
    with pytest.raises(ConfigError, match="no unencrypted private key"):
        Identity.read(certs / "device.pem", certs / "device.pem")
    with pytest.raises(ConfigError, match="no certificate in PEM form"):
        read_authorities(certs / "device.key")
    bare = Network((Tier("device"), Tier("cloud", tls="mutual")), (Link("device", "cloud", 1e8),))
    with pytest.raises(ConfigError, match="has no certificate and key to show"):
        Access.between(bare, "device", "cloud")
    with pytest.raises(ConfigError, match="but no certificate and key"):
        ServerSecurity.of(bare, "cloud")


def test_an_open_private_key_is_warned_about(certs: Path, caplog: pytest.LogCaptureFixture) -> None:
    (certs / "device.key").chmod(0o644)
    Identity.read(certs / "device.pem", certs / "device.key")
    assert "open to others than its owner" in caplog.text


def test_a_renewed_certificate_is_shown_without_a_restart(cascade: Cascade, plan: Plan, certs: Path) -> None:
    network = network_of(certs)
    access = Access.between(network, "device", "cloud")
    with serving(cascade, plan, ServerSecurity.of(network, "cloud")) as address:
        asked(address, access, cascade, plan)
        for key in certs.glob("ca.*"):
            key.unlink()
        make_certificates(certs, ["cloud"], overwrite=True)
        renewed = Access.between(network, "device", "cloud")
        assert renewed.explain(address) is None
        assert access.explain(address) is not None


@contextlib.contextmanager
def speaking_tls(context: ssl.SSLContext | None) -> Iterator[int]:
    """A server that is not gRPC; yields its port."""

    async def ignore(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = run_in_background(asyncio.start_server(ignore, "127.0.0.1", 0, ssl=context))
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def serial_shown(port: int, ca: Path) -> bytes | None:
    context = ssl.create_default_context(cafile=str(ca))
    with (
        socket.create_connection(("127.0.0.1", port), 10) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        return secured.getpeercert(binary_form=True)


def test_servers_that_are_not_grpc_show_it_too(certs: Path, caplog: pytest.LogCaptureFixture) -> None:
    security = ServerSecurity.of(network_of(certs), "cloud")
    with speaking_tls(security.context()) as port:
        first = serial_shown(port, certs / "ca.pem")
        assert serial_shown(port, certs / "ca.pem") == first
        make_certificates(certs, ["cloud"], overwrite=True)
        second = serial_shown(port, certs / "ca.pem")
        assert second != first
        (certs / "cloud.pem").write_text("damaged")
        assert serial_shown(port, certs / "ca.pem") == second
        assert "the old one stays" in caplog.text


def test_a_client_turned_away_reads_its_certificate_again(
    cascade: Cascade, plan: Plan, certs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("offramp.runtime.upstream.EXPLAIN_AGAIN_S", 0.2)
    network = network_of(certs, "mutual")
    make_certificates(tmp_path / "other", ["device"])
    right = {file: (certs / file).read_bytes() for file in ("device.pem", "device.key")}
    for file in right:
        (certs / file).write_bytes((tmp_path / "other" / file).read_bytes())
    access = Access.between(network, "device", "cloud")

    async def ask(address: str) -> Any:
        upstream = Upstream(address, Counters("device", 3, 3), access=access)
        upstream.start()
        try:
            assert not await upstream.wait_connected(0.5)
            for file, content in right.items():
                (certs / file).write_bytes(content)
            assert await upstream.wait_connected(20.0)
            return await upstream.send(request_for(cascade, plan, tiny_rows(2)), 10.0)
        finally:
            await upstream.close()

    security = ServerSecurity.of(network, "cloud")
    with serving(cascade, plan, security) as address:
        assert run_in_background(ask(address)).outputs[0].shape == [2]


def test_development_certificates_are_for_their_owner_only(certs: Path, tmp_path: Path) -> None:
    assert {file.name for file in certs.iterdir()} == {
        f"{name}.{kind}" for name in ("ca", "device", "cloud") for kind in ("pem", "key")
    }
    assert {stat.S_IMODE(os.stat(file).st_mode) for file in certs.iterdir()} == {0o600}
    authority = (certs / "ca.pem").read_bytes()
    make_certificates(certs, ["edge=10.1.2.3"])
    assert (certs / "ca.pem").read_bytes() == authority
    with pytest.raises(ConfigError, match="is there already; pass --overwrite"):
        make_certificates(certs, ["edge"])
    for wrong in ("", "ca", "../x", ".hidden", "a/b"):
        with pytest.raises(ConfigError, match="a host must be a name"):
            make_certificates(tmp_path / "bad", [wrong])
    with pytest.raises(ConfigError, match="one or more hosts"):
        make_certificates(tmp_path / "bad", [])
    assert not (tmp_path / "bad").exists()


def test_network_files_name_files_beside_them(tmp_path: Path) -> None:
    file = tmp_path / "network.toml"
    file.write_text(
        '[[tiers]]\nname = "cloud"\ntls = "server"\ncertificate = "certs/cloud.pem"\nkey = "/etc/cloud.key"\n'
    )
    (tier,) = load_network(file).tiers
    assert (tier.certificate, tier.key) == (str(tmp_path / "certs" / "cloud.pem"), "/etc/cloud.key")
    file.write_text('[[tiers]]\nname = "cloud"\ntls = "yes"\n')
    with pytest.raises(ConfigError, match="tls must be server or mutual"):
        load_network(file)
    file.write_text('[[tiers]]\nname = "cloud"\nkey = "x"\n')
    with pytest.raises(ConfigError, match="certificate and key belong together"):
        load_network(file)
