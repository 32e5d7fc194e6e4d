"""The benchmark of policies runs small and has every part."""

from __future__ import annotations

import tomllib
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from benchmarks.policies import OTHERS, OURS, SIMPLE, TOGETHER
from benchmarks.runner import run_benchmark
from offramp.policies import registry

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"


def test_policies_have_every_part(monkeypatch: pytest.MonkeyPatch) -> None:
    points = tomllib.loads(PYPROJECT.read_text())["project"]["entry-points"]["offramp.policies"]
    found = {name: EntryPoint(name, value, "offramp.policies") for name, value in points.items()}
    monkeypatch.setattr(registry, "_found", lambda: found)
    rows = {row.name: row for row in run_benchmark("policies", quick=True)}
    for name in (*SIMPLE, *OTHERS, *OURS):
        assert rows[f"{name}, decisions one at a time"].ours > 0
    assert "kB of JSON" in rows["guarded-gain, a decision at t = 10,000 against t = 1,000"].notes
    assert rows["hil-f, replay over 2 shuffles"].unit == "1/s"
    for name in TOGETHER:
        against = rows[f"{name}, replay over 2 shuffles against one sample at a time"]
        assert (against.ratio > 0, against.notes) == (True, "of the exits 100 % are the same")
