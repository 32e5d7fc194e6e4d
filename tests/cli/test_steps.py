"""The six commands by hand, on a tiny cascade with its own data and network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from offramp.data.registry import load_dataset
from offramp.planning.result import load_search_result
from tests.cli.support import offramp
from tests.support.blobs import blobs, cascade_on
from tests.support.tiny import make_tiny_cascade

NETWORK = """
[[tiers]]
name = "device"
slow_down = 8
[[tiers]]
name = "cloud"
[[links]]
source = "device"
target = "cloud"
bandwidth_bps = 50e6
rtt_s = 0.002
"""


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder with ``rows.npz``, ``network.toml`` and a cascade that knows those rows."""
    rows = blobs(400)
    hand_over: tuple[NDArray[Any], ...] = rows.inputs
    said = []
    for segment in make_tiny_cascade(tmp_path, segments=3).load_segments():
        hand_over, logits = segment.run_with_logits(hand_over)
        assert logits is not None
        said.append(logits.argmax(1))
    who = np.random.default_rng(0).integers(0, 3, len(rows))
    labels = np.stack(said)[who, np.arange(len(rows))]  # every exit is right on at least a third
    np.savez(tmp_path / "rows.npz", inputs=rows.inputs[0], labels=labels, label_names=np.array(rows.label_names))
    (tmp_path / "network.toml").write_text(NETWORK)
    cascade_on(load_dataset(str(tmp_path / "rows.npz")), tmp_path)
    return tmp_path


@pytest.mark.e2e
def test_record_to_report(workplace: Path) -> None:
    cascade, rows, network = workplace / "tiny.cascade", workplace / "rows.npz", workplace / "network.toml"
    recorded = offramp("record", cascade, "--data", rows)
    assert recorded.code == 0, recorded.err
    assert "recorded 3 exits on" in recorded.out

    calibrated = json.loads(offramp("calibrate", cascade, "--json").out)
    scores = {f"{score}_{when}" for score in ("ece", "ece_equal_mass", "nll", "brier") for when in ("before", "after")}
    assert [set(row) for row in calibrated] == [{"name", "temperature", "accuracy", *scores}] * 3

    profiled = offramp("profile", cascade, "--network", network, "--data", rows)
    assert profiled.code == 0, profiled.err
    assert {p.name for p in (cascade / "profiles").iterdir()} == {"device.json", "cloud.json"}

    planned = offramp("plan", cascade, "--network", network, "--accuracy-loss", "0.05", "--json")
    assert planned.code == 0, planned.err
    plan_id = json.loads(planned.out)["plan_id"]
    explained = offramp("plan", cascade, "--network", network, "--accuracy-loss", "0.05", "--explain")
    assert plan_id in explained.out
    assert "device-only" in explained.out

    gain = cascade / "plans" / "gain.json"
    gated = offramp("plan", cascade, "--network", network, "--gate", "gain", "--output", gain, "--json")
    assert gated.code == 0, gated.err
    assert {gate["score"] for gate in json.loads(gated.out)["plan"]["gates"]} == {"gain"}
    ran = offramp("run", cascade, "--network", network, "--data", rows, "--spawn", "--rows", "9", "--plan", gain)
    assert ran.code == 0, ran.err
    ran = offramp("run", cascade, "--network", network, "--data", rows, "--spawn", "--rows", "20", "--json")
    assert ran.code == 0, ran.err
    summary = json.loads(ran.out)
    assert summary["plan_id"] == plan_id
    assert summary["rows"] == 20
    assert summary["degraded_rows"] == 0

    search = load_search_result(cascade / "plans" / "plan.search.json")
    cloud_only = next(end for end in search.endpoints if end.name == "cloud-only").plan
    cloud_only.save(cascade / "plans" / "cloud-only.json")
    options = ("--network", network, "--data", rows, "--plan", cascade / "plans" / "cloud-only.json")
    refused = offramp("run", cascade, *options)
    assert refused.code == 2
    assert "tier 'cloud' has no address" in refused.err
    ran = offramp("run", cascade, *options, "--spawn", "--rows", "5", "--name", "cloud-only", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["tier_share"]["cloud"] == 1.0
    ran = offramp("run", cascade, *options, "--mode", "only-device", "--rows", "5", "--in-flight", "3", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["tier_share"]["device"] == 1.0
    assert json.loads(ran.out)["degraded_rows"] == 0
    refused = offramp("run", cascade, *options, "--mode", "fog")
    assert refused.code == 2
    assert "the modes are plan, prefer-device" in refused.err

    report = workplace / "report.html"
    written = offramp("report", cascade, "--network", network, "--output", report)
    assert written.code == 0, written.err
    assert plan_id in report.read_text()


def test_impossible_deadline_says_what_would_do(workplace: Path) -> None:
    cascade, rows, network = workplace / "tiny.cascade", workplace / "rows.npz", workplace / "network.toml"
    offramp("record", cascade, "--data", rows)
    offramp("profile", cascade, "--network", network, "--data", rows)
    called = offramp("plan", cascade, "--network", network, "--accuracy-loss", "0.0", "--deadline-ms", "0.000001")
    assert called.code == 6
    assert "deadline" in called.err
    assert len(called.err.strip().splitlines()) == 1
    assert not (cascade / "plans").exists()


def test_run_needs_an_address_or_spawn(workplace: Path) -> None:
    from offramp.cli.run import upstream_addresses
    from offramp.errors import ConfigError
    from offramp.links.network import load_network

    network = load_network(workplace / "network.toml")
    assert upstream_addresses(network, None) is None
    with pytest.raises(ConfigError, match="tier 'cloud' has no address"):
        upstream_addresses(network, "cloud")


def test_variants_objectives_and_limits(workplace: Path) -> None:
    cascade, network = workplace / "tiny.cascade", workplace / "network.toml"
    network.write_text(NETWORK.replace("slow_down = 8", 'slow_down = 8\nenergy = "raspberry-pi-3b"'))
    files = []
    for coding in ([], ["--codec", "uint8@1"]):
        assert offramp("record", cascade, "--data", workplace / "rows.npz", *coding).code == 0
    files = [cascade / "records" / name for name in ("fp32.parquet", "fp32+uint8@1.parquet")]
    codecs = [word for codec in ("raw", "uint8") for word in ("--codec", codec)]
    assert offramp("profile", cascade, "--network", network, "--data", workplace / "rows.npz", *codecs).code == 0
    records = [word for file in files for word in ("--records", file)]
    asked: tuple[tuple[str, ...], ...] = (
        ("--minimise", "energy"),
        ("--minimise", "weighted", "--weight", "latency_s=1", "--weight", "bytes=0.1"),
        ("--minimise", "latency_quantile", "--quantile", "0.9", "--input-stays"),
        ("--pin", "2=cloud", "--pin", "0!=cloud", "--accuracy-loss", "0.5"),
        ("--arrival-hz", "0.5"),
    )
    for more in asked:
        called = offramp("plan", cascade, "--network", network, *records, "--explain", *more)
        assert called.code == 0, called.err
        assert "The plan stays the best, all else fixed, on device-cloud" in called.out.replace("\n", " ")
    assert json.loads((cascade / "plans" / "plan.json").read_text())["objective"]["arrival_hz"] == 0.5
    refused: tuple[tuple[tuple[str, ...], str], ...] = (
        (("--pin", "cloud"), "pins.0: a pin is written SEGMENT=TIER"),
        (("--weight", "latency=1"), "--weight 'latency=1': write NAME=NUMBER"),
        (("--minimise", "weighted"), "goes with weights"),
        (("--pin", "0=cloud", "--input-stays"), "no placement keeps pins and input_stays together"),
        (("--arrival-hz", "1e9"), "the arrival rate binds"),
    )
    for more, sentence in refused:
        called = offramp("plan", cascade, "--network", network, *records, *more)
        assert called.code != 0
        assert sentence in called.err.replace("\n", " ")
