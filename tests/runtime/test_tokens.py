"""Tokens: who is let in by one, where it comes from, and that it is never shown."""

from __future__ import annotations

import pickle
from pathlib import Path

import grpc
import grpc.aio
import pytest

from offramp.cascade.store import Cascade
from offramp.errors import ConfigError, LinkDown
from offramp.links.network import Network, Tier
from offramp.planning.plan import Plan
from offramp.runtime.access import Access
from offramp.runtime.development_ca import make_certificates
from offramp.runtime.proto import grpc_predict_v2_pb2 as pb
from offramp.runtime.server_security import ServerSecurity
from offramp.runtime.tokens import Token, token_for
from tests.runtime.secured import SECRET, asked, call, network_of, serving
from tests.runtime.support import plan_of
from tests.support.tiny import make_tiny_cascade

LIVE = "/inference.GRPCInferenceService/ServerLive"
READY = "/inference.GRPCInferenceService/ModelReady"


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
