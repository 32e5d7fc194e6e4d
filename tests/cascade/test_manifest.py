"""``cascade.json``: rules and round trip."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from offramp.cascade.manifest import Calibration, Manifest
from offramp.cascade.store import open_cascade


@pytest.fixture
def manifest(tiny_cascade: Path) -> Manifest:
    return open_cascade(tiny_cascade).manifest


def test_json_round_trip(manifest: Manifest) -> None:
    body = json.loads(manifest.to_json())
    digest = body.pop("sha256")
    assert Manifest.model_validate(body) == manifest
    assert Manifest.digest_of(body) == digest


def test_calibration_keeps_the_fingerprint(manifest: Manifest) -> None:
    calibrated = manifest.model_copy(update={"calibration": Calibration(temperatures=(2.0, 3.0))})
    assert calibrated.fingerprint == manifest.fingerprint
    assert calibrated.to_json() != manifest.to_json()


def test_other_labels_are_another_cascade(manifest: Manifest) -> None:
    assert manifest.model_copy(update={"labels": ("x", "y", "z")}).fingerprint != manifest.fingerprint


def test_exits_and_cuts(manifest: Manifest) -> None:
    assert manifest.exit_segments == (0, 1)
    assert manifest.exit_names == ("early", "final")
    assert manifest.tensors_at(0) == manifest.inputs
    assert [t.name for t in manifest.tensors_at(1)] == ["h0"]


def _changed(manifest: Manifest, **changes: object) -> dict[str, object]:
    return {**manifest.model_dump(mode="json"), **changes}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": ["one"]}, "at least 2 labels"),
        ({"calibration": {"temperatures": [1.0]}}, "1 temperatures for 2 exits"),
        ({"calibration": {"temperatures": [1.0, 0.0]}}, "greater than 0"),
        ({"surprise": 1}, "Extra inputs"),
        ({"name": "../up"}, "match pattern"),
        ({"segments": []}, "at least 1 item"),
    ],
)
def test_rules(manifest: Manifest, changes: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Manifest.model_validate(_changed(manifest, **changes))


def test_segments_must_fit_each_other(manifest: Manifest) -> None:
    body = manifest.model_dump(mode="json")
    body["segments"][1]["inputs"][0]["name"] = "other"
    with pytest.raises(ValidationError, match=r"takes \['other'\], but is handed \['h0'\]"):
        Manifest.model_validate(body)


def test_last_segment_needs_an_exit(manifest: Manifest) -> None:
    body = manifest.model_dump(mode="json")
    body["segments"][-1]["exit"] = None
    with pytest.raises(ValidationError, match="last segment must end in an exit"):
        Manifest.model_validate(body)


def test_a_file_name_cannot_leave_the_folder(manifest: Manifest) -> None:
    body = manifest.model_dump(mode="json")
    body["segments"][0]["file"] = "../segment-00.onnx"
    with pytest.raises(ValidationError, match="match pattern"):
        Manifest.model_validate(body)
