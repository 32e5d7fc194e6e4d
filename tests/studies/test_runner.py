"""The study runner: finds, runs, prints, and refuses in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from studies.__main__ import main
from studies.row import StudyRow
from studies.runner import run_study, study_names

TINY = """
from dataclasses import dataclass
from studies.row import StudyRow

@dataclass
class Pair:
    ours: float

def study():
    yield StudyRow("accuracy", 87.7, Pair(88.0).ours, "%", "replayed on 10 rows", True)
    yield StudyRow("latency", None, 1.5, "ms", "measured")
"""

BROKEN = """
from offramp.records.records import load_records

def study():
    return load_records("nowhere.parquet")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in {"tiny": TINY, "norecords": BROKEN, "nofunction": "study = 3"}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "study.py").write_text(text)
    (tmp_path / "notes").mkdir()
    return tmp_path


def test_json_has_the_agreed_keys(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tiny", "--json"], folder) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["study"] == "tiny"
    assert [set(row) for row in body["rows"]] == [{"name", "published", "ours", "unit", "how", "holds"}] * 2
    assert body["rows"][0]["holds"] is True
    assert body["rows"][1]["holds"] is None
    assert body["rows"][1]["published"] is None


def test_a_table_without_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["tiny"], folder) == 0
    text = capsys.readouterr().out
    assert "87.7" in text
    assert "yes" in text


def test_no_name_lists_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], folder) == 0
    assert capsys.readouterr().out.split() == ["nofunction", "norecords", "tiny"]


@pytest.mark.parametrize(
    ("name", "code", "says"),
    [
        ("tinny", 2, "did you mean 'tiny'?"),
        ("xyz", 2, "there are nofunction, norecords, tiny"),
        ("norecords", 5, "no such records file"),
        ("nofunction", 2, "must define a function study()"),
    ],
)
def test_refusals(folder: Path, capsys: pytest.CaptureFixture[str], name: str, code: int, says: str) -> None:
    assert main([name], folder) == code
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_a_row_must_be_finite() -> None:
    with pytest.raises(ValueError, match="not a finite number"):
        StudyRow("ratio", None, float("nan"), "x", "replayed")


def test_our_studies_are_found_and_described(folder: Path) -> None:
    names = study_names()
    assert "cifar10" in names
    root = Path(__file__).parents[2] / "studies"
    for name in names:
        assert (root / name.replace("-", "_") / "README.md").is_file()
    assert len(run_study("tiny", folder)) == 2
