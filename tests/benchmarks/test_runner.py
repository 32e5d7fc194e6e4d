"""The benchmark runner: finds, runs, prints, stores, and refuses in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.__main__ import main
from benchmarks.row import BenchmarkRow
from benchmarks.runner import benchmark_names

FAST = """
def run(quick: bool) -> list[dict]:
    repeats = 10 if quick else 1000
    return [{"name": "first exit", "baseline": 2.0, "ours": 2.1, "ratio": 1.05, "unit": "us",
             "how": f"measured, {repeats} repeats", "notes": "ours / baseline"}]
"""
OBJECTS = """
from benchmarks.row import BenchmarkRow

def run(quick: bool) -> list[BenchmarkRow]:
    return [BenchmarkRow("search", 10.0, 1.0, 0.1, "s", "measured")]
"""
BROKEN = """
def run(quick: bool) -> list[dict]:
    return [{"name": "half", "baseline": 1.0}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "fast.py").write_text(FAST)
    (tmp_path / "objects.py").write_text(OBJECTS)
    (tmp_path / "helper.py").write_text("def running(): ...\n")
    return tmp_path


def test_json_of_one(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fast", "--json", "--quick"], folder) == 0
    body = json.loads(capsys.readouterr().out)
    assert body["benchmark"] == "fast"
    assert body["rows"][0]["ratio"] == 1.05
    assert set(body["rows"][0]) == {"name", "baseline", "ours", "ratio", "unit", "how", "notes"}
    assert "10 repeats" in body["rows"][0]["how"]
    assert not (folder / "results").exists()


def test_all_are_stored_with_machine_and_versions(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["all", "--json", "--store"], folder) == 0
    body = json.loads(capsys.readouterr().out)
    assert [part["benchmark"] for part in body["benchmarks"]] == ["fast", "objects"]
    stored = json.loads((folder / "results" / "fast.json").read_text())
    assert stored["rows"] == body["benchmarks"][0]["rows"]
    assert stored["machine"]["cores"] >= 1
    assert "numpy" in stored["versions"]
    assert stored["measured_utc"].endswith("Z")


def test_a_table_without_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["all"], folder) == 0
    text = capsys.readouterr().out
    assert "Benchmark fast" in text
    assert "1.050" in text
    assert max(len(line) for line in text.splitlines()) <= 80


def test_no_name_lists_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], folder) == 0
    assert capsys.readouterr().out.split() == ["fast", "objects"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["fats"], "did you mean 'fast'?"),
        (["xyz"], "there are broken, fast, objects, all"),
        (["broken"], "'ours' is missing"),
        (["fast", "--quick", "--store"], "a quick run is not stored"),
    ],
)
def test_refusals(folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], says: str) -> None:
    (folder / "broken.py").write_text(BROKEN)
    assert main(arguments, folder) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_rows_are_checked() -> None:
    with pytest.raises(ValueError, match="ratio is not a finite number"):
        BenchmarkRow("a", 1.0, 1.0, float("inf"), "s", "measured")
    with pytest.raises(ValueError, match="'speed' is unknown"):
        BenchmarkRow.of({"name": "a", "baseline": 1, "ours": 1, "ratio": 1, "unit": "s", "how": "measured", "speed": 1})


def test_helper_modules_are_no_benchmarks() -> None:
    names = benchmark_names()
    assert not {"row", "runner", "machine", "__main__", "__init__"} & set(names)


def test_minutes_are_for_those_that_take_them(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "long.py").write_text(FAST.replace("quick: bool", "quick: bool, minutes: float = 1.0"))
    assert main(["long", "--json", "--minutes", "2"], folder) == 0
    assert main(["fast", "--minutes", "2"], folder) == 2
    assert "leave --minutes out" in capsys.readouterr().err
    assert main(["all", "--minutes", "2"], folder) == 2
    assert "for one benchmark" in capsys.readouterr().err


def test_what_takes_an_hour_is_asked_by_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "long.py").write_text("BY_NAME = True\n" + FAST)
    assert main(["all", "--json", "--quick"], folder) == 0
    assert [part["benchmark"] for part in json.loads(capsys.readouterr().out)["benchmarks"]] == ["fast", "objects"]
    assert main(["long", "--json", "--quick"], folder) == 0
