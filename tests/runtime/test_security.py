"""Certificates, tokens, and who is let in."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import logging
import os
import pickle
import socket
import ssl
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest

import offramp
from offramp.cascade.store import Cascade
from offramp.errors import ConfigError, LinkDown
from offramp.links.address import Address
from offramp.links.network import Link, Network, Tier, load_network
from offramp.planning.plan import Plan
from offramp.runtime.access import Access
from offramp.runtime.answering import Answering
from offramp.runtime.certificates import Identity, read_authorities
from offramp.runtime.channel import client_options, server_options
from offramp.runtime.counters import Counters
from offramp.runtime.development_ca import make_certificates
from offramp.runtime.loop import run_in_background
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.server_security import ServerSecurity
from offramp.runtime.service import Service, handlers
from offramp.runtime.tier import Tier as RuntimeTier
from offramp.runtime.tokens import Token, token_for
from offramp.runtime.upstream import Upstream
from tests.runtime.support import plan_of
from tests.runtime.test_service import request_for
from tests.support.tiny import make_tiny_cascade, tiny_rows

SECRET = "correct-horse-battery-staple"
LIVE = "/inference.GRPCInferenceService/ServerLive"
READY = "/inference.GRPCInferenceService/ModelReady"


@pytest.fixture
def certs(tmp_path: Path) -> Path:
    make_certificates(tmp_path / "certs", ["device", "cloud"])
    return tmp_path / "certs"


def network_of(certs: Path, tls: str | None = "server", token: bool = False) -> Network:
    token_file = None
    if token:
        file = certs.parent / "token"
        file.write_text(SECRET + "\n")
        file.chmod(0o600)
        token_file = str(file)

    def tier(name: str, **more: Any) -> Tier:
        return Tier(
            name,
            ca=str(certs / "ca.pem"),
            certificate=str(certs / f"{name}.pem"),
            key=str(certs / f"{name}.key"),
            **more,
        )

    tiers = (tier("device"), tier("cloud", tls=tls, token_file=token_file))
    return Network(tiers, (Link("device", "cloud", 1e8),))


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


@pytest.fixture
def plan(cascade: Cascade) -> Plan:
    return plan_of(cascade, ("cloud",) * 3, (0.6, 0.8))


@contextlib.contextmanager
def serving(cascade: Cascade, plan: Plan, security: ServerSecurity) -> Iterator[str]:
    async def start() -> tuple[Any, int, Answering]:
        answering = Answering(RuntimeTier(cascade, "cloud", [plan]))
        server: Any = grpc.aio.server(interceptors=security.interceptors(), options=server_options())
        server.add_generic_rpc_handlers((handlers(Service(answering)),))
        port = security.listen(server, Address("127.0.0.1", 0))
        await server.start()
        return server, port, answering

    server, port, answering = run_in_background(start())
    try:
        yield f"127.0.0.1:{port}"
    finally:
        run_in_background(server.stop(None))
        answering.close()


def asked(address: str, access: Access, cascade: Cascade, plan: Plan, patience_s: float = 10.0) -> Any:
    """What the device's own client is answered."""

    async def ask() -> Any:
        upstream = Upstream(address, Counters("device", 3, 3), access=access)
        upstream.start()
        try:
            await upstream.wait_connected(patience_s)
            return await upstream.send(request_for(cascade, plan, tiny_rows(2)), 10.0)
        finally:
            await upstream.close()

    return run_in_background(ask())


def call(address: str, access: Access, method: str, request: Any, metadata: Any = None) -> Any:
    async def ask() -> Any:
        async with access.open_channel(address, client_options()) as channel:
            unary = channel.unary_unary(method, type(request).SerializeToString, None)
            return await unary(request, timeout=10, metadata=access.metadata if metadata is None else metadata)

    return run_in_background(ask())


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


@pytest.mark.parametrize("tls", [None, "server"])
def test_a_token_is_asked_for(cascade: Cascade, plan: Plan, certs: Path, tls: str | None) -> None:
    network = network_of(certs, tls, token=True)
    access = Access.between(network, "device", "cloud")
    ready = pb.ModelReadyRequest(name="tiny")
    with serving(cascade, plan, ServerSecurity.of(network, "cloud")) as address:
        assert asked(address, access, cascade, plan).outputs[0].shape == [2]
        assert pb.ModelReadyResponse.FromString(call(address, access, READY, ready)).ready
        wrong = Access(access.tls, access.authorities, token=Token(["wrong-" + SECRET]))
        for header in ((), wrong.metadata, (("authorization", SECRET),), (("authorization", f"Basic {SECRET}"),)):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                call(address, access, READY, ready, header)
            assert caught.value.code() == grpc.StatusCode.UNAUTHENTICATED
            assert SECRET not in str(caught.value)
        with pytest.raises(LinkDown, match="the token is missing or wrong"):
            asked(address, wrong, cascade, plan)
        assert pb.ServerLiveResponse.FromString(call(address, wrong, LIVE, pb.ServerLiveRequest(), ())).live


def test_a_token_comes_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n{SECRET[::-1]}\n")
    file.chmod(0o600)
    token = token_for("edge-2", file)
    assert token is not None
    assert token.allows(f"Bearer {SECRET}")
    assert token.allows(f"bearer {SECRET[::-1]}")
    assert token.header == ("authorization", f"Bearer {SECRET}")
    assert not caplog.records
    file.chmod(0o644)
    token_for("edge-2", file)
    assert "can be read by others" in caplog.text
    monkeypatch.setenv("OFFRAMP_TOKEN_EDGE_2", SECRET)
    from_environment = token_for("edge-2", None)
    assert from_environment is not None
    assert from_environment.allows(f"Bearer {SECRET}")
    assert token_for("cloud", None) is None


def test_a_token_file_that_has_changed_is_read_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "token"
    file.write_text(SECRET)
    file.chmod(0o600)
    token = token_for("edge", file)
    assert token is not None
    newer = SECRET[::-1] + "-2"
    file.write_text(f"{newer}\n{SECRET}\n")
    assert token.allows(f"Bearer {SECRET}")
    assert token.allows(f"Bearer {newer}")
    assert token.header == ("authorization", f"Bearer {newer}")
    file.write_text(newer + "\n")
    assert not token.allows(f"Bearer {SECRET}")
    file.write_text("short")
    assert token.allows(f"Bearer {newer}")
    file.unlink()
    assert token.allows(f"Bearer {newer}")
    assert "the old ones stay" in caplog.text
    assert newer not in caplog.text


def test_bad_tokens_are_named_without_showing_them(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("")
    with pytest.raises(ConfigError, match="is empty"):
        token_for("edge", file)
    file.write_text("short")
    with pytest.raises(ConfigError, match="16 or more") as caught:
        token_for("edge", file)
    assert "short" not in str(caught.value)
    with pytest.raises(ConfigError, match="cannot read the token file of tier 'edge'"):
        token_for("edge", tmp_path / "none")


def test_a_token_is_never_shown() -> None:
    token = Token([SECRET])
    for text in (repr(token), str(token), f"{token}", repr(Access(token=token)), repr(ServerSecurity(token=token))):
        assert SECRET not in text
    with pytest.raises(TypeError, match="cannot be stored"):
        pickle.dumps(token)


def test_a_token_in_the_clear_is_warned_about(certs: Path, caplog: pytest.LogCaptureFixture) -> None:
    network = network_of(certs, None, token=True)
    device, cloud = network.tiers
    Access.between(network, "device", "cloud")
    assert not caplog.records
    far = Tier("cloud", address="10.0.0.2:8001", token_file=cloud.token_file)
    Access.between(Network((device, far), network.links), "device", "cloud")
    assert "travels in the clear" in caplog.text


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


FORBIDDEN_MODULES = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml"}


def test_nothing_is_ever_unpickled_or_evaluated() -> None:
    """Over the source: no module that runs what it reads, no ``eval``, no shell."""
    found: list[str] = []
    for file in sorted(Path(offramp.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom | ast.Call):
                found += [f"{file.name}:{node.lineno}: {what}" for what in _runs_what_it_reads(node)]
    assert found == []


def _runs_what_it_reads(node: ast.Import | ast.ImportFrom | ast.Call) -> Iterator[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module or ""]
        yield from (f"imports {name}" for name in names if name.split(".")[0] in FORBIDDEN_MODULES)
        return
    options = {word.arg: ast.unparse(word.value) for word in node.keywords}
    if ast.unparse(node.func) in ("eval", "exec", "compile", "__import__", "os.system", "os.popen"):
        yield f"calls {ast.unparse(node.func)}"
    yield from (f"passes {name}" for name in ("allow_pickle", "shell") if options.get(name, "False") != "False")
    if ast.unparse(node.func) == "torch.load" and options.get("weights_only") != "True":
        yield "torch.load without weights_only"
