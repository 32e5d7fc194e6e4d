"""Files that cannot be read are named, with the rule and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from offramp.errors import ConfigError
from offramp.files import read_model, read_toml


class Batch(BaseModel):
    """What the files hold."""

    rows: int


def read(file: Path) -> Batch:
    return read_model(Batch, file, missing="no such batch; make one", again="make it again")


def test_what_is_whole_is_read(tmp_path: Path) -> None:
    (tmp_path / "batch.json").write_text('{"rows": 3}')
    assert read(tmp_path / "batch.json") == Batch(rows=3)
    (tmp_path / "batch.toml").write_text("rows = 3")
    assert read_toml(tmp_path / "batch.toml", "batch") == {"rows": 3}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"rows": "many"}', r"batch\.json: rows: Input should be a valid integer.*; make it again"),
        (b'{"rows"', r"batch\.json: file: Invalid JSON.*; make it again"),
        (b"\xff\xfe", r"batch\.json: file: Invalid JSON.*; make it again"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "batch.json").write_bytes(content)
    with pytest.raises(ConfigError, match=sentence):
        read(tmp_path / "batch.json")


@pytest.mark.parametrize("content", [b"rows = ", b"\xff\xfe"])
def test_what_is_no_toml_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "batch.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"batch\.toml: not valid TOML"):
        read_toml(tmp_path / "batch.toml", "batch")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.json: no such batch; make one"):
        read(tmp_path / "none.json")
    with pytest.raises(ConfigError, match=r"none\.toml: cannot read the batch \(No such file"):
        read_toml(tmp_path / "none.toml", "batch")
