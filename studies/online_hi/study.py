"""What online policies cost with the last exit taken for the truth, with its errors charged, and through a shift."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from offramp.errors import RecordMismatch
from offramp.policies.guarded_gain import GuardedGain
from offramp.policies.hi_lcb import HILCB
from offramp.policies.hil_f import HilF
from studies.online_hi.claims import orderings, ours_near_the_best, within_the_margin
from studies.online_hi.growth import HORIZONS, growth
from studies.online_hi.runs import AUDITS, LABELLED, OURS, PRICES, Costs, Shuffles, run_problem
from studies.online_hi.streams import CASES, EXAMPLES, SHIFTS, Case, load_cases
from studies.row import StudyRow

__all__ = ["study"]

SHIFTED = Shuffles(8, 8)


def study(
    examples: Path = EXAMPLES,
    cases: tuple[Case, ...] = CASES,
    shifts: tuple[Case, ...] = SHIFTS,
    shuffles: Shuffles | None = None,
    shifted: Shuffles = SHIFTED,
    horizons: tuple[int, ...] = HORIZONS,
) -> Iterator[StudyRow]:
    """Every row of the study.

    Parameters
    ----------
    examples : folder of the records
    cases, shifts : without and with a shift in the middle
    shuffles, shifted : over how many of them
    horizons : over which the growth of regret is measured

    Raises
    ------
    RecordMismatch : no records of any case
    """
    counts = shuffles or Shuffles()
    published, charged, left_out = [], [], []
    grown: list[StudyRow] = []
    for problem in load_cases(cases, examples):
        if isinstance(problem, str):
            left_out.append(problem)
            continue
        one, other = run_problem(problem, shuffles=counts)
        published.append(one)
        charged.append(other)
        grown += growth(problem, horizons)
        yield from _costs(one, "published setting", counts)
        yield from _costs(other, "remote errors charged", counts)
    if not charged:
        raise RecordMismatch(f"{examples}: no records of any case; record a cascade first with 'offramp record'")
    how = _how(counts)
    yield from orderings(published, how)
    yield from grown
    yield from ours_near_the_best(published, how, "published setting")
    yield from ours_near_the_best(charged, how)
    yield from within_the_margin(charged, how)
    moved = []
    for problem in load_cases(shifts, examples):
        if isinstance(problem, str):
            left_out.append(problem)
            continue
        (costs,) = run_problem(problem, (False,), (HilF, HILCB, GuardedGain), shifted, labels=True)
        moved.append(costs)
        yield from _costs(costs, "shift in the middle", shifted)
    for ours in (OURS, LABELLED) if moved else ():
        yield from ours_near_the_best(moved, _how(shifted), "shift in the middle", ours)
        yield from within_the_margin(moved, _how(shifted), "shift in the middle", ours)
    if left_out:
        yield StudyRow("cases left out", None, len(left_out), "", "; ".join(left_out))


def _costs(costs: Costs, setting: str, counts: Shuffles) -> Iterator[StudyRow]:
    for index, price in enumerate(PRICES):
        for rule, means in costs.means.items():
            low, high = (100 * np.quantile(means[index], [0.05, 0.95])).tolist()
            went = f"; {100 * costs.went[rule][index]:.1f} % went on" if rule in costs.went else ""
            audits = f"; audits cost at most {100 * AUDITS:g} of it" if rule in (OURS, LABELLED) else ""
            how = (
                f"replayed over {means.shape[1]} shuffles of {costs.rows:,} rows; cost in mistakes per 100 samples, "
                f"5 to 95 %: {low:.2f} to {high:.2f}{went}{audits}"
            )
            title = f"{setting}, {costs.name}, price {price:g}: {rule}"
            yield StudyRow(title, None, 100 * float(means[index].mean()), "per 100", how)


def _how(counts: Shuffles) -> str:
    fewer = f" ({counts.ours} for {OURS})" if counts.ours != counts.together else ""
    return f"replayed, means over {counts.together} shuffles{fewer}; feedback comes at once"
