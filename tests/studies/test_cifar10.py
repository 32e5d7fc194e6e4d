"""The CIFAR-10 study: on made-up evidence always, on the committed records where they exist."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from studies.cifar10 import study as cifar10
from studies.cifar10.single_threshold import best_single_threshold
from studies.row import StudyRow
from tests.reporting.sample import NETWORK, TIERS, make_profile, make_records
from tests.support.tiny import make_tiny_cascade

NETWORK_TOML = "".join(f'[[tiers]]\nname = "{tier.name}"\nslow_down = {tier.slow_down}\n' for tier in NETWORK.tiers) + (
    "".join(
        f'[[links]]\nsource = "{link.source}"\ntarget = "{link.target}"\n'
        f"bandwidth_bps = {link.bandwidth_bps}\nrtt_s = {link.rtt_s}\n"
        for link in NETWORK.links
    )
)


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the layout of examples/cifar10."""
    manifest = make_tiny_cascade(tmp_path, segments=3).manifest
    make_records(manifest, rows=6000).save(tmp_path / "records" / "fp32.parquet", dtype="float16")
    for tier in TIERS:
        make_profile(manifest, tier).save(tmp_path / "profiles" / f"{tier}.json")
    (tmp_path / "network.toml").write_text(NETWORK_TOML)
    monkeypatch.setattr(cifar10, "EXAMPLE", tmp_path)
    return tmp_path


def by_name(rows: list[StudyRow]) -> dict[str, StudyRow]:
    named = {row.name: row for row in rows}
    assert len(named) == len(rows)
    return named


def test_every_row_on_made_up_evidence(example: Path) -> None:
    rows = by_name(list(cifar10.study()))
    shares = [row.ours for name, row in rows.items() if name.startswith("plan: leaves")]
    assert sum(shares) == pytest.approx(100.0)
    assert {f"mean latency, {tier}-only / plan" for tier in TIERS} <= set(rows)
    assert rows["test accuracy, exit final"].published == 87.7
    assert all("replayed" in row.how for row in rows.values())
    assert rows["mean latency, one threshold / plan"].unit == "x"


def test_one_threshold_keeps_the_limit_and_is_the_best(tmp_path: Path) -> None:
    tune = make_records(make_tiny_cascade(tmp_path, segments=3).manifest).on("tune")
    cost_s = np.array([[1.0, 2.0, 9.0], [4.0, 4.1, 4.2]])
    chosen = best_single_threshold(tune, cost_s, 0.01)
    exits = chosen.exits(tune)
    right = tune.correct[exits, np.arange(len(tune))].mean()
    assert right >= tune.correct[-1].mean() - 0.01 - 1e-9
    for threshold in np.linspace(0, 1, 50):
        other = replace(chosen, threshold=float(threshold)).exits(tune)
        if tune.correct[other, np.arange(len(tune))].mean() >= tune.correct[-1].mean() - 0.01:
            best = cost_s[:, other].mean(1).min()
            assert cost_s[chosen.placement, exits].mean() <= best + 0.02


def test_the_committed_records() -> None:
    records = cifar10.EXAMPLE / "records" / "fp32.parquet"
    if not records.is_file():
        pytest.skip("the CIFAR-10 records are not in this checkout")
    rows = by_name(list(cifar10.study()))
    assert rows["plan: accuracy loss"].ours < 2.0
    assert all(row.ours >= 0 for name, row in rows.items() if name.startswith("ECE"))
