"""Text on the device: the tokenizer of a cascade."""

from __future__ import annotations

import hashlib
import logging
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offramp.cascade.manifest import TokenizerSpec
from offramp.cascade.text import InputReader, Tokenizer
from offramp.errors import CascadeError, SampleError
from tests.support.texts import WORDS, make_tokenizer_file

CLS, SEP = 2, 3


def spec_of(file: Path, max_length: int = 8, pad_id: int = 0) -> TokenizerSpec:
    content = file.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return TokenizerSpec(file=file.name, sha256=digest, file_bytes=len(content), max_length=max_length, pad_id=pad_id)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tokenizer_file(tmp_path_factory.mktemp("tokenizer"))


@pytest.fixture(scope="module")
def tokenizer(file: Path) -> Tokenizer:
    return Tokenizer(file, spec_of(file))


def test_rows_are_padded_to_the_longest(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode(["Good film", "the plot was very bad"])
    assert tokens.ids.shape == (2, 7)
    assert tokens.ids.dtype == tokens.mask.dtype == np.int64
    assert tokens.ids[0].tolist() == [CLS, 4 + WORDS.index("good"), 4 + WORDS.index("film"), SEP, 0, 0, 0]
    assert tokens.mask.sum(1).tolist() == [4, 7]
    assert not tokens.truncated.any()


@settings(max_examples=50, deadline=None)
@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=6).map(" ".join), min_size=1, max_size=6))
def test_a_row_is_the_same_alone_and_in_a_batch(tokenizer: Tokenizer, texts: list[str]) -> None:
    together = tokenizer.encode(texts)
    for row, text in enumerate(texts):
        alone = tokenizer.encode([text])
        length = alone.ids.shape[1]
        assert together.ids[row, :length].tolist() == alone.ids[0].tolist()
        assert together.mask[row].sum() == length


def test_an_empty_text_is_its_special_tokens(tokenizer: Tokenizer) -> None:
    assert tokenizer.encode([""]).ids.tolist() == [[CLS, SEP]]


def test_a_long_text_is_cut_and_told_once(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    tokenizer = Tokenizer(file, spec_of(file))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            tokens = tokenizer.encode(["film " * 500, "film"])
    assert tokens.ids.shape == (2, 8)
    assert tokens.ids[0, [0, -1]].tolist() == [CLS, SEP]
    assert tokens.truncated.tolist() == [True, False]
    assert [record.message for record in caplog.records] == ["a text of more than 8 tokens was cut; this is said once"]


def test_of_two_texts_the_longer_one_is_cut(tokenizer: Tokenizer) -> None:
    tokens = tokenizer.encode(["good film"], ["plot " * 20])
    assert tokens.ids.tolist() == [[CLS, 4, 12, SEP, 13, 13, 13, SEP]]
    assert tokens.types.tolist() == [[0, 0, 0, 0, 1, 1, 1, 1]]


def test_padding_uses_the_id_of_the_manifest(file: Path) -> None:
    tokens = Tokenizer(file, spec_of(file, pad_id=1)).encode(["", "film"])
    assert tokens.ids[0].tolist() == [CLS, SEP, 1]


@pytest.mark.parametrize(
    ("texts", "second", "sentence"),
    [
        ([], None, "no rows"),
        (["a", 3], None, "row 1: expected text, but found int"),
        (["a"], ["b", "c"], "1 first texts, but 2 second ones"),
    ],
)
def test_what_is_no_text_is_refused(
    tokenizer: Tokenizer, texts: list[str], second: list[str] | None, sentence: str
) -> None:
    with pytest.raises(SampleError, match=sentence):
        tokenizer.encode(texts, second)


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "tokenizer.json"
    file.write_text("{}")
    with pytest.raises(CascadeError, match="not a tokenizer"):
        Tokenizer(file, spec_of(file))


def test_a_reader_leaves_arrays_as_they_are(tokenizer: Tokenizer) -> None:
    ids = np.ones((2, 3), np.int64)
    assert InputReader(tokenizer)([ids, ids])[0] is ids
    assert InputReader(None).row(np.zeros(4))[0].shape == (1, 4)
    assert [part.shape for part in InputReader(None).row([np.zeros(4), np.zeros((2, 2))])] == [(1, 4), (1, 2, 2)]


def test_a_reader_takes_one_text_or_two(tokenizer: Tokenizer) -> None:
    reader = InputReader(tokenizer)
    assert len(reader.row("good film")) == 2
    ids, mask, types = reader.row(["good film", "bad film"])
    assert ids.shape == mask.shape == types.shape == (1, 7)
    column = np.array(["good", "bad"], dtype=object)
    assert len(reader([column, column])) == 3
    with pytest.raises(SampleError, match="one or two texts a row, but 3"):
        reader([column] * 3)


def test_a_device_needs_neither_torch_nor_transformers(file: Path) -> None:
    code = f"""
import sys
sys.modules["torch"] = sys.modules["transformers"] = None
from pathlib import Path
from offramp.cascade.manifest import TokenizerSpec
from offramp.cascade.text import Tokenizer
file = Path({str(file)!r})
spec = TokenizerSpec(file=file.name, sha256="0" * 64, file_bytes=1, max_length=8)
print(Tokenizer(file, spec).encode(["good film"]).ids.tolist())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[[2, 4, 12, 3]]"
