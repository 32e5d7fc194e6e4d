"""What a policy cost in a replay, for the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from offramp.policies.regret import Band
from offramp.policies.shuffled import Outcome, Reference
from offramp.reporting.numbers import percent
from offramp.reporting.terminal import plain_table

__all__ = ["policy_table"]

_WORDS = {
    "never": "never go on",
    "always": "always go on",
    "fixed": "best threshold, in hindsight",
    "oracle": "oracle, sample by sample",
}
_BEST = {"fixed": "the best threshold", "oracle": "the oracle"}


def policy_table(name: str, outcome: Outcome, known: Sequence[Reference], where: str) -> Table:
    """A policy beside what knows nothing or more; 80 columns wide.

    Parameters
    ----------
    name : of the policy
    outcome : of its replays
    known : on the same samples
    where : the samples and the price, in words
    """
    shuffles = len(outcome.cost)
    table = plain_table(
        f"Policy {name}",
        ["", "cost", "5 to 95 %", "accuracy", "went on"],
        caption=f"{where}; replayed over {shuffles} shuffle{'s' if shuffles > 1 else ''}; costs in mistakes per 100",
    )
    shares = percent(outcome.accuracy.mean()), percent(outcome.went_on.mean())
    table.add_row(name, *_costs(Band.of(outcome.cost)), *shares, style="bold")
    if outcome.audited.any():
        table.add_row("audited besides", "", "", "", percent(outcome.audited.mean()))
    if outcome.labelled.any():
        table.add_row("told the truth of", "", "", "", percent(outcome.labelled.mean()))
    for one in known:
        table.add_row(_WORDS[one.name], f"{100 * one.cost:.2f}", "", percent(one.accuracy), percent(one.went_on))
    table.add_section()
    for one in known:
        if one.name in _BEST:
            table.add_row(f"regret against {_BEST[one.name]}", *_costs(outcome.regret(one.cost)), "", "")
    return table


def _costs(band: Band) -> tuple[str, str]:
    return f"{100 * band.mean:.2f}", f"{100 * band.low:.2f} to {100 * band.high:.2f}"
