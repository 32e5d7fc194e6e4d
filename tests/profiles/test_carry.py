"""Profiles that travel between machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from offramp.cascade.store import Cascade, open_cascade
from offramp.errors import ConfigError, RecordMismatch
from offramp.profiles.carry import check_profile, export_profile, import_profile, profile_file
from offramp.profiles.profile import MachineInfo, PayloadCost, Profile, SegmentCost, TransportCost, load_profile
from tests.support.tiny import make_tiny_cascade


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path)


def cost(segment: int, **changes: Any) -> SegmentCost:
    base = SegmentCost(segment=segment, median_s=1.0, mean_s=1.0, p95_s=1.0, repeats=15)
    return base.model_copy(update=changes)


def profile_of(cascade: Cascade, **changes: Any) -> Profile:
    base = Profile(
        cascade=cascade.name,
        cascade_fingerprint=cascade.manifest.fingerprint,
        tier="phone",
        slow_down=1.0,
        how="measured",
        created_utc="2026-01-01T00:00:00+00:00",
        machine=MachineInfo(cpu="c", cores=2, system="Linux", versions={}),
        pinned_cpu=1,
        segments=(cost(0), cost(1), cost(0, batch=8)),
        payloads=(PayloadCost(cut=0, codec="raw", payload_bytes=16, encode_s=0, decode_s=0),),
        transport=TransportCost(hop_s=1e-3, request_overhead_bytes=100, answer_bytes=50),
    )
    return base.model_copy(update=changes)


def test_there_and_back(cascade: Cascade, tmp_path: Path) -> None:
    profile_of(cascade).save(profile_file(cascade.path, "phone"))
    carried = tmp_path / "carried.json"
    assert export_profile(cascade.path, "phone", carried) == profile_of(cascade)
    imported = import_profile(cascade.path, carried, tier="device")
    assert imported == profile_of(cascade, tier="device")
    assert load_profile(profile_file(cascade.path, "device")) == imported
    assert import_profile(cascade.path, carried).tier == "phone"


def test_nothing_to_carry(cascade: Cascade, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such profile"):
        export_profile(cascade.path, "phone", tmp_path / "carried.json")
    with pytest.raises(ConfigError, match="no such profile"):
        import_profile(cascade.path, tmp_path / "none.json")


def test_another_build_is_refused(cascade: Cascade, tmp_path: Path) -> None:
    other = make_tiny_cascade(tmp_path / "other", seed=1)
    carried = tmp_path / "carried.json"
    profile_of(other).save(carried)
    with pytest.raises(RecordMismatch, match="another build of 'tiny'"):
        import_profile(cascade.path, carried)
    assert not profile_file(cascade.path, "phone").exists()


@pytest.mark.parametrize(
    ("segments", "words"),
    [
        ((cost(0),), "lacks the cost of segment 1 in fp32, but 'tiny' has the segments 0 to 1"),
        ((cost(0), cost(1, batch=8)), "lacks the cost of segment 1 in fp32"),
        ((cost(0), cost(1), cost(2)), "has a cost of segment 2 in fp32"),
        ((cost(0), cost(1), cost(0, precision="int8")), "the cost of segment 0 in int8, but 'tiny' has none"),
    ],
)
def test_a_profile_that_does_not_fit_is_refused(
    cascade: Cascade, segments: tuple[SegmentCost, ...], words: str
) -> None:
    with pytest.raises(RecordMismatch, match=words):
        check_profile(profile_of(cascade, segments=segments), cascade.manifest)


def test_another_variant_is_refused(cascade: Cascade) -> None:
    content = (cascade.path / "segment-00.onnx").read_bytes()
    cascade.with_variants({0: content})
    manifest = open_cascade(cascade.path).manifest
    both = cost(0), cost(1)
    check_profile(profile_of(cascade, segments=(*both, cost(0, precision="int8"))), manifest)
    check_profile(profile_of(cascade, segments=(*both, cost(0, precision="int8", model_bytes=len(content)))), manifest)
    with pytest.raises(RecordMismatch, match="segment 0 in int8, but 'tiny' has another one"):
        check_profile(profile_of(cascade, segments=(*both, cost(0, precision="int8", model_bytes=7))), manifest)
