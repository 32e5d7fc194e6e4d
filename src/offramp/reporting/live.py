"""A table that grows while a run goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from rich.console import Group
from rich.text import Text

from offramp.reporting.numbers import milliseconds, percent
from offramp.reporting.terminal import plain_table
from offramp.runtime.answer import Answer

__all__ = ["LiveTable"]


class LiveTable:
    """What a run has answered so far; hand it to ``rich.live.Live``.

    Parameters
    ----------
    title : the run's name
    exit_names : (E,) names of the exits
    tiers : names of the tiers, device first
    total : rows to come in all, where known

    Examples
    --------
    >>> live = LiveTable("plan", ["early", "final"], ["device", "cloud"], total=2)
    >>> live.add(Answer(1, np.array([0.1, 0.9]), 0.9, 0, "device", 0.004), label=1)
    >>> live.summary
    '1 of 2 answered, 100.0 % right, p50 4.00 ms, p95 4.00 ms, 0 degraded'
    """

    def __init__(self, title: str, exit_names: Sequence[str], tiers: Sequence[str], total: int | None = None) -> None:
        self.title = title
        self.exit_names = tuple(exit_names)
        self.tiers = tuple(tiers)
        self.total = total
        self._answers: Counter[tuple[int, str]] = Counter()
        self._degraded: Counter[str] = Counter()
        self._latency_s: list[float] = []
        self._labelled = 0
        self._right = 0

    def add(self, answer: Answer, label: int | None = None) -> None:
        """Count one answer, and whether it is right where the label is known."""
        self._answers[answer.exit, answer.tier] += 1
        self._latency_s.append(answer.latency_s)
        if answer.degraded:
            self._degraded[answer.degraded] += 1
        if label is not None:
            self._labelled += 1
            self._right += answer.label == label

    @property
    def summary(self) -> str:
        """Everything but the counts per exit and tier, in one line."""
        seen = tuple(self._latency_s)  # a copy: another thread may be adding
        if not seen:
            return "waiting for the first answer"
        p50, p95 = np.quantile(seen, (0.5, 0.95))
        of = f" of {self.total}" if self.total else ""
        right = f" {percent(self._right / self._labelled)} right," if self._labelled else ""
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self._degraded.items()))
        return (
            f"{len(seen)}{of} answered,{right} p50 {milliseconds(float(p50))}, p95 {milliseconds(float(p95))}, "
            f"{self._degraded.total()} degraded" + (f" ({reasons})" if reasons else "")
        )

    def __rich__(self) -> Group:
        table = plain_table(self.title, ["exit", *self.tiers, "all", "share"])
        total = max(1, self._answers.total())
        for index, name in enumerate(self.exit_names):
            counts = [self._answers[index, tier] for tier in self.tiers]
            table.add_row(name, *(str(c or "·") for c in counts), str(sum(counts)), percent(sum(counts) / total))
        return Group(table, Text(self.summary))
