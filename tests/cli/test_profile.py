"""``offramp profile``: what is measured, and profiles that travel."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from offramp.cascade.operator_bench import operator_models
from offramp.profiles.carry import profile_file
from offramp.profiles.profile import TransportCost, load_profile
from tests.cli.support import offramp
from tests.support.tiny import make_tiny_cascade


@pytest.fixture
def cascade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny cascade; the transport, which needs a server, is not measured."""
    transport = TransportCost(hop_s=1e-3, request_overhead_bytes=100, answer_bytes=50)
    monkeypatch.setattr("offramp.runtime.probe.measure_transport", lambda *_: transport)
    return make_tiny_cascade(tmp_path).path


def test_codecs_and_batches(cascade: Path) -> None:
    called = offramp("profile", cascade, "--tier", "edge", "--codec", "raw", "--codec", "uint8", "--batch", "1,4")
    assert called.code == 0, called.err
    assert "edge, 4 rows" in called.out
    profile = load_profile(profile_file(cascade, "edge"))
    assert profile.codecs == ("raw", "uint8")
    assert {cost.batch for cost in profile.segments} == {1, 4}


def test_a_profile_travels(cascade: Path, tmp_path: Path) -> None:
    carried = tmp_path / "phone.json"
    called = offramp("profile", cascade, "--tier", "phone", "--export", carried)
    assert called.code == 0, called.err
    assert str(carried) in called.out
    called = offramp("profile", cascade, "--import", carried, "--tier", "device", "--json")
    assert called.code == 0, called.err
    assert json.loads(called.out)[0]["tier"] == "device"
    assert load_profile(profile_file(cascade, "device")).segments == load_profile(carried).segments

    other = make_tiny_cascade(tmp_path / "other", seed=1).path
    called = offramp("profile", other, "--import", carried)
    assert called.code == 5
    assert "another build of 'tiny'" in called.err
    assert not (other / "profiles").exists()


def test_costs_of_operators_predict_a_profile(cascade: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = list(operator_models(count=1))
    monkeypatch.setattr("offramp.cascade.operator_bench.operator_models", lambda: few)
    costs = tmp_path / "costs.json"
    for index in range(2):
        called = offramp("profile", cascade, "--fit", costs)
        assert called.code == 0, called.err
        assert "costs of 2 measurements" in called.out  # the second run replaces the cascade's, and keeps the operators
        assert "FLOPs x factor" in called.out
        assert "tiny, fp32" in called.out
        assert not (cascade / "profiles").exists(), index
    called = offramp("profile", cascade, "--fit", costs, "--json")
    assert {"operators", "segments"} == set(json.loads(called.out))
    other = make_tiny_cascade(tmp_path / "other", segments=3, seed=1).path
    called = offramp("profile", other, "--tier", "phone", "--predict-from", costs)
    assert called.code == 0, called.err
    assert "modelled: median" in called.out
    profile = load_profile(profile_file(other, "phone"))
    assert (profile.how, len(profile.segments)) == ("modelled", 3)


NETWORK = '[[tiers]]\nname = "device"\n[[tiers]]\nname = "cloud"\n[[links]]\nsource = "device"\ntarget = "cloud"\n'


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "profile needs --network N.toml"),
        (("--tier", "edge", "--batch", "many"), "--batch takes whole numbers with commas"),
        (("--tier", "edge", "--batch", "0"), "a batch has at least 1 row, not 0"),
        (("--tier", "edge", "--codec", "zip"), "unknown codec 'zip'"),
        (("--tier", "edge", "--codec", "webp"), "codec 'webp' holds the tensors of no cut"),
        (("--import", "none.json"), "no such profile"),
        (("--import", "none.json", "--slow-down", "2"), "of the other options it takes --tier alone"),
        (("--fit", "c.json", "--tier", "edge"), "--fit measures operators, not a tier"),
        (("--fit", "c.json", "--import", "p.json"), "are three different things"),
        (("--tier", "edge", "--predict-from", "none.json"), "no such costs"),
        (("--tier", "edge", "--predict-from", "none.json", "--batch", "8"), "predicts one row at a time"),
        (("--network", "network.toml", "--export", "all.json"), "--export writes one profile, not 2"),
        (("--network", "network.toml", "--slow-down", "2"), "--slow-down goes with one --tier"),
        (("--network", "network.toml", "--tier", "egde"), "unknown tier 'egde'"),
    ],
)
def test_bad_options(cascade: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], words: str) -> None:
    monkeypatch.chdir(cascade.parent)
    Path("network.toml").write_text(NETWORK + "bandwidth_bps = 1e6\n")
    called = offramp("profile", cascade, *arguments)
    assert called.code == 2, called.err
    assert words in called.err
    assert len([line for line in called.err.splitlines() if line.startswith("offramp: error:")]) == 1
    assert not (cascade / "profiles").exists()
