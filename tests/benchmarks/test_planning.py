"""The planning benchmarks run small; they compare what they time with other ways to the same answer."""

from __future__ import annotations

import pytest

from benchmarks.runner import run_benchmark


def test_planning_has_every_part() -> None:
    rows = {row.name: row for row in run_benchmark("planning", quick=True)}
    for part in ("gate settings", "NumPy brute force", "scipy MILP", "scipy dinic", "virtual time", "re-plan, "):
        assert any(part in name for name in rows), part
    assert all(row.baseline > 0 and row.ours > 0 for row in rows.values())
    usual = [row for row in rows.values() if row.name in ("full search, 3 tiers", "re-plan, 3 tiers")]
    assert [row.ratio for row in usual] == pytest.approx([1.0, 1.0])


def test_re_plans_find_what_the_products_find() -> None:
    assert len(run_benchmark("replan", quick=True)) == 8
