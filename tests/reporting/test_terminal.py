"""Terminal tables fit 80 columns and lose no word."""

from __future__ import annotations

import io
import re
import subprocess
import sys

import numpy as np
from rich.console import Console, RenderableType

from offramp.reporting.calibration import calibration_of
from offramp.reporting.data import ReportData
from offramp.reporting.live import LiveTable
from offramp.reporting.terminal import calibration_table, explain_table, plan_table, runs_table
from offramp.reporting.words import losing
from offramp.runtime.answer import Answer


def shown(what: RenderableType) -> str:
    console = Console(width=80, file=io.StringIO(), force_terminal=False)
    console.print(what)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(len(line) for line in text.splitlines()) <= 80
    return text


def test_plan_table(sample: ReportData) -> None:
    assert sample.search
    text = " ".join(shown(plan_table(sample.search)).split())
    for candidate in losing(sample.search):
        assert f"{candidate.name}: {candidate.reason}" in text


def test_explain_table_adds_up(sample: ReportData) -> None:
    assert sample.search
    text = shown(explain_table(sample.search))
    assert "compute device" in text
    assert "Front" in text
    last = text.split(" all ")[1].split()
    assert sample.search.plan.predicted
    assert float(last[0]) == round(1e3 * sample.search.plan.predicted.mean_latency_s, 1)


def test_runs_table(sample: ReportData) -> None:
    text = shown(runs_table(sample.runs))
    assert "device-only" in text
    assert "…" not in text
    assert f"{sample.runs[-1].degraded_rows}" in text
    assert "Runs" in shown(runs_table([]))


def test_calibration_table(sample: ReportData) -> None:
    assert sample.records
    exits = calibration_of(sample.records.on("test"), sample.manifest.calibration.temperatures)
    text = re.sub(r"\s+", " ", shown(calibration_table(exits, "300 test rows")))
    assert "replayed on 300 test rows" in text
    assert f"{100 * exits[0].ece_before:.2f} %" in text


def test_live_table_counts() -> None:
    live = LiveTable("plan", ["early", "final"], ["device", "edge", "cloud"], total=4)
    assert "waiting" in shown(live)
    rows = [(0, "device", None, 1), (0, "device", "link_down", 0), (1, "cloud", None, 1)]
    for exit_index, tier, degraded, label in rows:
        live.add(Answer(1, np.zeros(2, np.float32), 0.9, exit_index, tier, 0.010, degraded), label)
    text = shown(live)
    assert "66.7 %" in text
    assert "3 of 4 answered" in text
    assert "1 degraded (1 link_down)" in live.summary
    assert "right" not in _unlabelled().summary


def _unlabelled() -> LiveTable:
    live = LiveTable("plan", ["final"], ["device"])
    live.add(Answer(1, np.zeros(2, np.float32), 0.9, 0, "device", 0.010))
    return live


def test_the_terminal_needs_no_plotting_library() -> None:
    code = (
        "import sys, offramp.reporting.live, offramp.reporting.report; "
        "sys.exit('plotly' in sys.modules or 'pyarrow' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
