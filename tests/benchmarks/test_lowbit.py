"""The low-bit benchmark runs small."""

from __future__ import annotations

from benchmarks.runner import run_benchmark


def test_the_lowbit_benchmark_has_every_part() -> None:
    rows = {row.name: row for row in run_benchmark("lowbit", quick=True)}
    for part in ("edge part, int8", "edge part, 4-bit", "edge part, 1-bit", "bytes on disk, 1-bit", "resident memory"):
        assert any(part in name for name in rows), part
    assert rows["bytes on disk, 1-bit in ONNX Runtime"].ratio < rows["bytes on disk, 4-bit in ONNX Runtime"].ratio < 0.3
