"""Streaming rows through a device."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from offramp.cascade.store import Cascade
from offramp.errors import DataError
from offramp.runtime.answer import Answer
from offramp.runtime.device import Device
from offramp.runtime.run import run
from offramp.runtime.run_result import load_run_result
from tests.runtime.support import local_chain, plan_of
from tests.support.tiny import make_tiny_cascade, tiny_rows

GATES = (0.6, 0.8)


@pytest.fixture
def cascade(tmp_path: Path) -> Cascade:
    return make_tiny_cascade(tmp_path, segments=3)


def test_every_row_is_asked_and_told(cascade: Cascade, tmp_path: Path) -> None:
    rows = tiny_rows(30)
    expected = local_chain(cascade, rows, GATES)
    labels = np.array([row[0] for row in expected])
    asked: list[int] = []
    told: list[tuple[Answer, int]] = []
    with Device(cascade, plan_of(cascade, ("device",) * 3, GATES)) as device:
        device.infer(rows[0])  # what was counted before does not count
        result = run(
            device,
            rows,
            labels,
            name="test",
            before_row=asked.append,
            on_answer=lambda answer, label: told.append((answer, label)),
            tier_counters=lambda: {"rows.edge": 0.0},
        )
    assert asked == list(range(30))
    assert [label for _, label in told] == labels.tolist()
    assert result.accuracy == 1.0
    assert result.exits == [row[1] for row in expected]
    assert result.tier_share == {"device": 1.0, "edge": 0.0, "cloud": 0.0}
    assert result.counters["rows.device"] == 30
    assert result.counters["rows_executed.device.0"] == 30
    assert result.counters["rows.edge"] == 0
    assert result.degraded_rows == 0
    result.save(tmp_path / "run.json")
    assert load_run_result(tmp_path / "run.json") == result


def test_labels_must_fit(cascade: Cascade) -> None:
    with Device(cascade, plan_of(cascade, ("device",) * 3, GATES)) as device:
        for labels in (np.zeros(2, np.int64), np.zeros(0, np.int64)):
            with pytest.raises(DataError, match="labels"):
                run(device, tiny_rows(3), labels)
