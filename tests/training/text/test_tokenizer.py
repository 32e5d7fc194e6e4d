"""The tokenizer that goes into a cascade."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from offramp.errors import ConfigError
from offramp.training.text.tokenizer import load_tokenizer
from tests.support.texts import make_tokenizer_file


def test_a_folder_and_its_file_are_the_same(tmp_path: Path) -> None:
    file = make_tokenizer_file(tmp_path)
    one, other = load_tokenizer(tmp_path, 16), load_tokenizer(file, 16)
    assert one.spec == other.spec
    assert one.content == file.read_bytes()
    assert (one.spec.max_length, one.spec.pad_id) == (16, 0)


def test_padding_settings_of_the_file_give_the_id_alone(tmp_path: Path) -> None:
    file = make_tokenizer_file(tmp_path)
    body = json.loads(file.read_text())
    body["padding"] = {
        "strategy": {"Fixed": 20},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 1,
        "pad_type_id": 0,
        "pad_token": "[UNK]",
    }
    file.write_text(json.dumps(body))
    stored = load_tokenizer(file, 16)
    assert stored.spec.pad_id == 1
    assert stored.tokenizer.encode(["film"]).ids.shape == (1, 3)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"text\.tokenizer must name"):
        load_tokenizer(tmp_path, 16)
