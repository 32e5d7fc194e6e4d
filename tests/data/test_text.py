"""Text: published sets and tables of one's own."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest

from offramp.data.dataset import Dataset
from offramp.data.delimited import load_delimited, text_column
from offramp.data.registry import data_folder, load_dataset
from offramp.errors import DataError


def write(file: Path, text: str) -> Path:
    if file.suffix == ".gz":
        file.write_bytes(gzip.compress(text.encode()))
    else:
        file.write_text(text, encoding="utf-8")
    return file


def test_numbers_from_a_csv_file(tmp_path: Path) -> None:
    write(tmp_path / "flowers.csv", 'length,width,species,is_test\n1.5,2,rose,0\n"3",4e1,"tulip",1\n5,6,rose,0\n')
    flowers = load_dataset(f"{tmp_path}/flowers.csv?label=species")
    np.testing.assert_array_equal(flowers.inputs[0], np.array([[1.5, 2], [3, 40], [5, 6]], np.float32))
    assert (flowers.name, flowers.label_names, flowers.labels.tolist()) == ("flowers", ("rose", "tulip"), [0, 1, 0])
    assert flowers.fixed_test.tolist() == [False, True, False]


@pytest.mark.parametrize("name", ["pairs.tsv", "pairs.tsv.gz"])
def test_text_from_a_tsv_file(tmp_path: Path, name: str) -> None:
    file = write(tmp_path / name, 'first\tlabel\tsecond\nshe said "no\t1\tünder\nb\t0\tc\n')
    pairs = load_dataset(f"{file}?text=first,second")
    assert [column.tolist() for column in pairs.inputs] == [['she said "no', "b"], ["ünder", "c"]]
    assert [column.tolist() for column in pairs.rows(np.array([1]))] == [["b"], ["c"]]
    assert (pairs.labels.tolist(), pairs.label_names) == ([1, 0], ("0", "1"))


@pytest.mark.parametrize(
    ("text", "options", "words"),
    [
        ("a,label\n1,0\n", "?label=kind", "has no column 'kind'; it has a, label"),
        ("a,label\n1,0\n", "?text=b", "has no column 'b'"),
        ("a,label\n1,0\nx,1\n", "", "column 'a', row 1 holds 'x', which is no number"),
        ("a,label\n1,0\n1\n", "", "row 1 has 1 values, but there are 2 columns"),
        ("a,label\n1,-1\n", "", "row 0 has label -1"),
        ("a,a\n1,0\n", "", "a column name occurs twice"),
        ("label\n1\n", "", "has no column beside 'label'"),
        ("a,label\n", "", "at least one row"),
        ("", "", "at least one row"),
        ('a,label\n"1,0\n', "", "not a UTF-8 table, or damaged"),
        ("a,label\n1,0\n", "?lable=a", "cannot read the option 'lable=a'; the options here are label=, text="),
    ],
)
def test_tables_that_do_not_fit(tmp_path: Path, text: str, options: str, words: str) -> None:
    file = write(tmp_path / "t.csv", text)
    with pytest.raises(DataError, match=words):
        load_dataset(f"{file}{options}")


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such data file"):
        load_delimited(tmp_path / "none.csv")
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "plain.csv.gz").write_bytes(b"a,label\n1,0\n")
    for name in ("binary.csv", "plain.csv.gz"):
        with pytest.raises(DataError, match="not a UTF-8 table, or damaged"):
            load_delimited(tmp_path / name)


def test_the_hash_of_text() -> None:
    def made(*rows: str) -> str:
        return Dataset("t", (text_column(rows),), np.zeros(2, np.int64), ("a",), np.zeros(2, bool)).sha256

    assert made("ab", "c") == made("ab", "c")
    assert len({made("ab", "c"), made("a", "bc"), made("ab", "d")}) == 3


def test_damaged_glue_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFRAMP_DATA", str(tmp_path))
    write(tmp_path / "sst2_train.tsv.gz", "label\tsentence\n1\tgood\n")
    write(tmp_path / "sst2_dev.tsv.gz", "label\tsentence\n0\tbad\n2\tworse\n")
    with pytest.raises(DataError, match=r"sst2_dev\.tsv\.gz: row 1 has label '2', but there are 0, 1"):
        load_dataset("sst2")
    write(tmp_path / "sst2_dev.tsv.gz", "label\ttext\n0\tbad\n")
    with pytest.raises(DataError, match=r"no column 'sentence'"):
        load_dataset("sst2")


@pytest.mark.data
@pytest.mark.skipif(data_folder() is None, reason="no data folder: set OFFRAMP_DATA to run this")
@pytest.mark.parametrize(
    ("name", "columns", "train", "test", "first_class"),
    [
        ("sst2", 1, (29780, 37569), (428, 444), "negative"),
        ("mrpc", 2, (1323, 2753), (578, 1147), "not_equivalent"),
        ("rte", 2, (1249, 1241), (146, 131), "entailment"),
    ],
)
def test_glue(name: str, columns: int, train: tuple[int, int], test: tuple[int, int], first_class: str) -> None:
    data = load_dataset(name)
    assert len(data.inputs) == columns
    assert tuple(np.bincount(data.labels[~data.fixed_test])) == train
    assert tuple(np.bincount(data.labels[data.fixed_test])) == test
    assert data.label_names[0] == first_class
    assert all(isinstance(text, str) and text for column in data.inputs for text in column[:100])
