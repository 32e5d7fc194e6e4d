"""How small a loss can be certified, and what it still saves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from offramp.confidence.bounds.signed import signed_p_value
from offramp.confidence.testing.family import fixed_sequence
from studies.dimee.evidence import Part, Task
from studies.dimee.methods import Family
from studies.dimee.outcomes import Outcome, outcome
from studies.dimee.tiers import Prices

__all__ = ["DELTA", "EPSILONS", "Curve", "certify_family"]

DELTA = 0.05
EPSILONS = (0.002, 0.003, 0.004, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075, 0.1)
#: of one layer, in mistakes; the order of the tests, fixed before the calibrate rows are seen
TRADE_OFFS = (0.0, 0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.006, 0.008, 0.012, 0.02)


@dataclass(frozen=True)
class Curve:
    """By epsilon: what the cheapest certified member does to calibrate and test rows; ``None`` is nothing certified."""

    rows: int
    calibrate: dict[float, Outcome | None]
    test: dict[float, Outcome | None]

    def smallest(self, cut: float) -> float | None:
        """The smallest epsilon whose certified member cuts more than so many percent on the calibrate rows."""
        return next((e for e, got in self.calibrate.items() if got is not None and got.cut > cut), None)


def certify_family(family: Family, task: Task, prices: Prices) -> Curve:
    """Members are tested from the most careful on, until one fails.

    With probability at least 1 - delta over the calibrate rows, no certified member loses more than epsilon of
    accuracy against all cloud: members and order come from the tune rows, and each test is the exact signed one.
    """
    paths = {mu: [family.use(task.tune, part, prices, mu) for part in (task.calibrate, task.test)] for mu in TRADE_OFFS}
    worse, better = np.array([_counts(task.calibrate, paths[mu][0].exit) for mu in TRADE_OFFS]).T
    seen = {
        mu: [outcome(p, q, prices) for p, q in zip((task.calibrate, task.test), paths[mu], strict=True)] for mu in paths
    }
    found: list[dict[float, Outcome | None]] = [{}, {}]
    for epsilon in EPSILONS:
        p = signed_p_value(worse, better, len(task.calibrate), epsilon, DELTA)
        kept = [mu for mu, good in zip(TRADE_OFFS, fixed_sequence(p, DELTA), strict=True) if good]
        best = max(kept, key=lambda mu: seen[mu][0].cut) if kept else None
        for index, each in enumerate(found):
            each[epsilon] = None if best is None else seen[best][index]
    return Curve(len(task.calibrate), *found)


def _counts(part: Part, exits: np.ndarray[tuple[int], np.dtype[np.intp]]) -> tuple[int, int]:
    right, last = part.right[exits, np.arange(len(part))], part.right[-1]
    return int((last & ~right).sum()), int((right & ~last).sum())
