"""The benchmark of text: what it needs, and that it runs where that is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.runner import names_of_all, run_benchmark
from benchmarks.text import DEFAULT
from offramp.errors import ConfigError


def test_without_a_cascade_it_says_how_to_get_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OFFRAMP_TEXT_CASCADE", str(tmp_path / "nowhere.cascade"))
    with pytest.raises(ConfigError, match=r"build it with 'offramp build examples/sst2/config.toml'"):
        run_benchmark("text", quick=True)


@pytest.mark.skipif(not DEFAULT.is_dir(), reason="no cascade of MiniLM is built here")
def test_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OFFRAMP_TEXT_CASCADE", raising=False)
    rows = {row.name for row in run_benchmark("text", quick=True)}
    assert {"mobile prefix, int8, 16 tokens", "routing, 32 tokens"} <= rows


def test_neither_runs_among_all() -> None:
    assert not {"text", "text_tiers"} & set(names_of_all())
