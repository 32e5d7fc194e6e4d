"""Opening refuses what is damaged; saving is all or nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from offramp.cascade.manifest import Calibration, Manifest
from offramp.cascade.store import open_cascade, save_cascade
from offramp.errors import CascadeError
from tests.support.tiny import make_tiny_cascade


def _rewrite(folder: Path, sign: bool = True, **changes: object) -> None:
    body = json.loads((folder / "cascade.json").read_text())
    body.pop("sha256")
    body.update(changes)
    digest = Manifest.digest_of(body) if sign else "0" * 64
    (folder / "cascade.json").write_text(json.dumps({"sha256": digest, **body}))


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(CascadeError, match="no such cascade folder"):
        open_cascade(tmp_path / "none.cascade")


def test_not_a_cascade(tmp_path: Path) -> None:
    with pytest.raises(CascadeError, match="not a cascade"):
        open_cascade(tmp_path)


def test_truncated_manifest(tiny_cascade: Path) -> None:
    file = tiny_cascade / "cascade.json"
    file.write_text(file.read_text()[:100])
    with pytest.raises(CascadeError, match="not valid JSON"):
        open_cascade(tiny_cascade)


def test_edited_manifest(tiny_cascade: Path) -> None:
    _rewrite(tiny_cascade, sign=False, name="other")
    with pytest.raises(CascadeError, match="does not match its own sha256"):
        open_cascade(tiny_cascade)


def test_newer_version(tiny_cascade: Path) -> None:
    _rewrite(tiny_cascade, schema_version=2)
    with pytest.raises(CascadeError, match="schema version 2 is newer"):
        open_cascade(tiny_cascade)


def test_wrong_field(tiny_cascade: Path) -> None:
    _rewrite(tiny_cascade, labels=["only"])
    with pytest.raises(CascadeError, match="at least 2 labels"):
        open_cascade(tiny_cascade)


def test_missing_segment(tiny_cascade: Path) -> None:
    (tiny_cascade / "segment-01.onnx").unlink()
    with pytest.raises(CascadeError, match="segment 1 is missing"):
        open_cascade(tiny_cascade)


def test_truncated_segment(tiny_cascade: Path) -> None:
    file = tiny_cascade / "segment-00.onnx"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CascadeError, match="truncated or replaced"):
        open_cascade(tiny_cascade)


def test_tampered_segment(tiny_cascade: Path) -> None:
    file = tiny_cascade / "segment-00.onnx"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(CascadeError, match="does not match its sha256"):
        open_cascade(tiny_cascade)
    assert open_cascade(tiny_cascade, verify=False).name == "tiny"


def test_existing_folder_is_kept(tmp_path: Path) -> None:
    cascade = make_tiny_cascade(tmp_path)
    with pytest.raises(CascadeError, match="already exists"):
        save_cascade(cascade.path, cascade.manifest, {})
    assert open_cascade(cascade.path).manifest == cascade.manifest


def test_content_must_match_the_manifest(tmp_path: Path) -> None:
    cascade = make_tiny_cascade(tmp_path)
    files = {segment.file: b"other" for segment in cascade.manifest.segments}
    with pytest.raises(CascadeError, match="does not match its sha256"):
        save_cascade(tmp_path / "new.cascade", cascade.manifest, files)
    with pytest.raises(CascadeError, match="no content given"):
        save_cascade(tmp_path / "new.cascade", cascade.manifest, {})
    assert not (tmp_path / "new.cascade").exists()


def test_a_failed_save_leaves_the_old_cascade(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cascade = make_tiny_cascade(tmp_path)
    files = {s.file: (cascade.path / s.file).read_bytes() for s in cascade.manifest.segments}

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        save_cascade(cascade.path, cascade.manifest, files, overwrite=True)
    monkeypatch.undo()
    assert open_cascade(cascade.path).manifest == cascade.manifest
    assert [p.name for p in tmp_path.iterdir()] == ["tiny.cascade"]


def test_calibration_is_stored(tmp_path: Path) -> None:
    cascade = make_tiny_cascade(tmp_path)
    calibration = Calibration(method="temperature", temperatures=(1.5, 2.5), fitted_on="10 rows")
    cascade.with_calibration(calibration)
    assert open_cascade(cascade.path).manifest.calibration == calibration


def test_a_file_that_is_no_model(tiny_cascade: Path) -> None:
    import hashlib

    junk = b"not onnx"
    (tiny_cascade / "segment-00.onnx").write_bytes(junk)
    body = json.loads((tiny_cascade / "cascade.json").read_text())
    body["segments"][0].update(sha256=hashlib.sha256(junk).hexdigest(), file_bytes=len(junk))
    _rewrite(tiny_cascade, segments=body["segments"])
    with pytest.raises(CascadeError, match="ONNX Runtime cannot load it"):
        open_cascade(tiny_cascade).load_segments()


def test_tensors_must_match_the_manifest(tiny_cascade: Path) -> None:
    body = json.loads((tiny_cascade / "cascade.json").read_text())
    body["inputs"][0]["name"] = "y"
    body["segments"][0]["inputs"][0]["name"] = "y"
    _rewrite(tiny_cascade, segments=body["segments"], inputs=body["inputs"])
    with pytest.raises(CascadeError, match="but the manifest says"):
        open_cascade(tiny_cascade).load_segments()
