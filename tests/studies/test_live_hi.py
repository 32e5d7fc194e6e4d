"""The study of live hierarchical inference: what is stored, and its arithmetic."""

from __future__ import annotations

from pathlib import Path

import pytest

from offramp.errors import RecordMismatch
from studies.live_hi.measurement import Run, load_measured
from studies.live_hi.study import study
from studies.runner import run_study

RUN = Run(name="a", latency_us=(1000, 3000), device_us=(500, 500), exits="01", right="10", sent_bytes=3000)


def test_a_run_sums_up() -> None:
    assert (RUN.rows, RUN.accuracy, RUN.offloaded, RUN.device_s) == (2, 0.5, 0.5, 0.0005)
    assert RUN.latency_s == pytest.approx((0.002, 0.0029))


def test_the_stored_measurement_gives_rows() -> None:
    rows = {row.name: row for row in study()}
    assert rows["never: sent"].ours == 0
    assert rows["always: offloaded"].ours == 100
    assert rows["full offload: device computes"].ours == 0
    assert rows["theta*: decisions other than in replay"].holds in (True, False)
    assert rows["theta* against large on the device: latency saved"].published == 73.0
    assert [row.name for row in run_study("live-hi")] == list(rows)


def test_without_a_measurement_it_refuses(tmp_path: Path) -> None:
    with pytest.raises(RecordMismatch, match="no measurement"):
        load_measured(tmp_path / "measured.json")
    (tmp_path / "bad.json").write_text("{}")
    with pytest.raises(RecordMismatch, match="ValidationError"):
        load_measured(tmp_path / "bad.json")
