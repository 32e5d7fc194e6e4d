"""The report is one file, complete, escaped, and fetches nothing."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from offramp.confidence.risks import AccuracyLoss
from offramp.errors import ConfigError, RecordMismatch
from offramp.records.certify import certify
from offramp.reporting.data import ReportData
from offramp.reporting.report import write_report

EVERY_SECTION = (
    "The plan",
    "The runs",
    "Accuracy against latency",
    "Latency, predicted and measured",
    "Is the confidence honest?",
    "Who answers",
    "Where the time goes",
    "The plans that lost",
    "Where the numbers come from",
)


class _Reader(HTMLParser):
    """Titles, attributes that fetch, and whether every tag is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.titles: list[str] = []
        self.fetched: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "img", "br"):
            self.open.append(tag)
        self.fetched += [str(value) for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "h2":
            self.titles.append(data)


def read(path: Path) -> tuple[str, _Reader]:
    text = path.read_text()
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return text, reader


def written(folder: Path, data: ReportData) -> tuple[str, _Reader]:
    path = folder / "deep" / "report.html"
    write_report(path, data)
    return read(path)


def test_the_whole_report(sample: ReportData, tmp_path: Path) -> None:
    text, reader = written(tmp_path, sample)
    text = text.replace("\N{NO-BREAK SPACE}", " ")
    assert tuple(reader.titles) == EVERY_SECTION
    assert reader.open == []
    assert reader.fetched == []
    assert text.count("plotly.js v") == 1
    assert sample.search is not None
    for figure in ("front", "latency", "reliability", "shares", "terms"):
        assert f'id="{figure}"' in text
    for word in (
        sample.search.why[1:],
        sample.search.plan.plan_id,
        sample.manifest.fingerprint,
        "measured",
        "replayed",
    ):
        assert word in text
    assert list((tmp_path / "deep").iterdir()) == [tmp_path / "deep" / "report.html"]


def test_a_plan_without_runs(sample: ReportData, tmp_path: Path) -> None:
    _, reader = written(tmp_path, replace(sample, runs=()))
    assert "The runs" not in reader.titles
    assert "The plan" in reader.titles


def test_a_cascade_that_is_only_calibrated(sample: ReportData, tmp_path: Path) -> None:
    _, reader = written(tmp_path, ReportData("Only calibrated", sample.manifest, sample.records))
    assert reader.titles == ["The cascade", "Is the confidence honest?", "Where the numbers come from"]


def test_a_plan_without_records_or_predictions(sample: ReportData, tmp_path: Path) -> None:
    assert sample.search is not None
    bare = sample.search.plan.model_copy(update={"predicted": None, "evidence": None})
    search = sample.search.model_copy(update={"plan": bare, "endpoints": ()})
    text, reader = written(tmp_path, ReportData("Bare", sample.manifest, search=search, runs=sample.runs))
    assert "nothing is predicted" in text
    assert "Who answers" in reader.titles


def test_a_certificate_is_shown_with_its_words(sample: ReportData, tmp_path: Path) -> None:
    assert sample.records is not None
    made = certify(sample.records, [AccuracyLoss(0.2)], 0.1)
    text, reader = written(tmp_path, replace(sample, certificate=made))
    assert "What is certified" in reader.titles
    assert "points of accuracy is lost" in text.replace("\N{NO-BREAK SPACE}", " ")
    assert made.certificate_id in text


def test_text_of_others_is_escaped(sample: ReportData, tmp_path: Path) -> None:
    evil = "<script>alert(1)</script>"
    run = replace(sample.runs[0], name=evil)
    data = replace(sample, title=evil, notes=(evil,), runs=(run,))
    text, reader = written(tmp_path, data)
    assert evil not in text
    assert reader.open == []


def test_figures_carry_no_machine_path(sample: ReportData, tmp_path: Path) -> None:
    text, _ = written(tmp_path, sample)
    own = text[: text.index("<script>")] + text[text.rindex("<header>") :]
    assert not re.search(r"/(home|work|tmp)/", own)


def test_evidence_of_another_cascade_is_refused(sample: ReportData, tmp_path: Path) -> None:
    other = sample.manifest.model_copy(update={"labels": ("x", "y", "z")})
    with pytest.raises(RecordMismatch, match="another build"):
        write_report(tmp_path / "report.html", replace(sample, manifest=other))
    assert list(tmp_path.iterdir()) == []


def test_without_plotly_one_sentence(sample: ReportData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly", None)
    with pytest.raises(ConfigError, match=r"pip install 'offramp\[report\]'"):
        write_report(tmp_path / "report.html", sample)
