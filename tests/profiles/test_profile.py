"""Profile files: round trip, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.errors import ConfigError, RecordMismatch
from offramp.profiles.profile import (
    MachineInfo,
    PayloadCost,
    Profile,
    SegmentCost,
    TransportCost,
    load_profile,
)

costs = st.floats(0, 1e6)
segment_costs = st.builds(
    SegmentCost,
    segment=st.integers(0, 20),
    batch=st.integers(1, 64),
    median_s=costs,
    mean_s=costs,
    p95_s=costs,
    repeats=st.integers(1, 200),
    macs=st.none() | st.integers(0, 10**12),
    model_bytes=st.none() | st.integers(0, 10**10),
)
payload_costs = st.builds(
    PayloadCost,
    cut=st.integers(0, 20),
    codec=st.sampled_from(["raw", "zstd"]),
    payload_bytes=costs,
    encode_s=costs,
    decode_s=costs,
)
profiles = st.builds(
    Profile,
    cascade=st.just("tiny"),
    cascade_fingerprint=st.just("f" * 64),
    tier=st.text(min_size=1, max_size=10),
    slow_down=st.floats(1, 1e3),
    how=st.sampled_from(["measured", "modelled"]),
    created_utc=st.just("2026-01-01T00:00:00+00:00"),
    machine=st.builds(
        MachineInfo, cpu=st.text(max_size=20), cores=st.integers(1, 64), system=st.just("Linux"), versions=st.just({})
    ),
    exit_segments=st.lists(st.integers(0, 20), max_size=3).map(tuple),
    segments=st.lists(segment_costs, max_size=4).map(tuple),
    payloads=st.lists(payload_costs, max_size=4).map(tuple),
    transport=st.builds(TransportCost, hop_s=costs, request_overhead_bytes=costs, answer_bytes=costs),
)


def example() -> Profile:
    return Profile(
        cascade="tiny",
        cascade_fingerprint="f" * 64,
        tier="edge",
        slow_down=4.0,
        how="measured",
        created_utc="2026-01-01T00:00:00+00:00",
        machine=MachineInfo(cpu="c", cores=2, system="Linux", versions={}),
        segments=(SegmentCost(segment=0, median_s=1.0, mean_s=1.0, p95_s=2.0, repeats=15),),
        payloads=(PayloadCost(cut=0, codec="raw", payload_bytes=16, encode_s=0, decode_s=0),),
        transport=TransportCost(hop_s=1e-3, request_overhead_bytes=100, answer_bytes=50),
    )


@settings(max_examples=40, deadline=None)
@given(profile=profiles)
def test_json_round_trip(profile: Profile, tmp_path_factory: pytest.TempPathFactory) -> None:
    file = tmp_path_factory.mktemp("profiles") / "sub" / "edge.json"
    profile.save(file)
    assert load_profile(file) == profile


def test_old_files_without_macs_and_bytes_still_load(tmp_path: Path) -> None:
    body = json.loads(example().to_json())
    for cost in body["segments"]:
        del cost["macs"], cost["model_bytes"]
    file = tmp_path / "edge.json"
    file.write_text(json.dumps(body))
    assert load_profile(file) == example()


def _edited(path: tuple[str | int, ...], value: object) -> str:
    body: Any = json.loads(example().to_json())
    *way, last = path
    here = body
    for step in way:
        here = here[step]
    here[last] = value
    return json.dumps(body)


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        (("segments", 0, "median_s"), float("nan"), r"segments\.0\.median_s"),
        (("segments", 0, "median_s"), -1.0, r"segments\.0\.median_s: .*greater than or equal to 0"),
        (("segments", 0, "macs"), -1, r"segments\.0\.macs"),
        (("segments", 0, "model_bytes"), -1, r"segments\.0\.model_bytes"),
        (("payloads", 0, "payload_bytes"), -1.0, r"payloads\.0\.payload_bytes"),
        (("payloads", 0, "encode_s"), float("inf"), r"payloads\.0\.encode_s"),
        (("transport", "hop_s"), -1e-9, r"transport\.hop_s"),
        (("slow_down",), 0.5, "slow_down: .*greater than or equal to 1"),
        (("how",), "guessed", "how: .*'measured' or 'modelled'"),
        (("schema_version",), 2, "schema_version"),
        (("surprise",), 1, "surprise: Extra inputs"),
    ],
)
def test_what_is_refused(tmp_path: Path, path: tuple[str | int, ...], value: object, words: str) -> None:
    file = tmp_path / "edge.json"
    file.write_text(_edited(path, value))
    with pytest.raises(ConfigError, match=words) as caught:
        load_profile(file)
    assert "run 'offramp profile' again" in str(caught.value)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such profile; 'offramp profile CASCADE --tier NAME' makes one"):
        load_profile(tmp_path / "none.json")
    file = tmp_path / "edge.json"
    file.write_text(example().to_json()[:100])
    with pytest.raises(ConfigError, match="Invalid JSON"):
        load_profile(file)


def test_another_cascade_is_refused() -> None:
    example().require("f" * 64)
    with pytest.raises(RecordMismatch, match="the profile of tier 'edge' was measured on another build of 'tiny'"):
        example().require("e" * 64)


def test_looking_up_a_payload() -> None:
    assert example().payload(0, "raw").payload_bytes == 16
    assert example().codecs == ("raw",)
    with pytest.raises(RecordMismatch, match="no payload for cut 1 and codec 'raw'"):
        example().payload(1, "raw")
