"""What is claimed of the costs, and whether it holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from offramp.policies.hedge_hi import HedgeHI
from offramp.policies.hedge_hi_restart import HedgeHIRestart
from offramp.policies.hi_lcb import HILCB, HILCBLite
from offramp.policies.hil_f import HilF
from offramp.policies.hil_n import HilN
from offramp.policies.margin_account import MARGIN
from studies.online_hi.runs import LABELLED, OURS, PRICES, Costs
from studies.row import StudyRow

__all__ = ["orderings", "ours_near_the_best", "within_the_margin"]

_NEAR = 0.01
_HINDSIGHT = ("hindsight", "bins", "oracle")
_SAFE = ("never", "always", "plan")
#: below the first, above the second, both named with what the papers say
_ORDER = ((HilF.name, HilN.name), (HILCB.name, HilN.name), (HILCB.name, HILCBLite.name))
_SAME = 1e-9


def orderings(found: Sequence[Costs], how: str) -> Iterator[StudyRow]:
    """Which published policy is below which, and how near HIL-F is to the best threshold."""
    for low, high in _ORDER:
        difference = np.stack([costs.mean(high) - costs.mean(low) for costs in found])
        kept = int((difference >= -_SAME).sum())
        title = f"published setting: {low} at or below {high}"
        yield StudyRow(title, None, kept, f"of {difference.size}", f"{how}; holds: all", kept == difference.size)
    for costs in found:
        regret = (costs.mean(HilF.name) - costs.mean("hindsight")) * costs.rows
        bound = HilF(horizon=costs.rows).regret_bound
        worst = float(regret.max())
        name = f"published setting, {costs.name}: hil-f, regret against hindsight"
        yield StudyRow(
            name, bound, worst, "mistakes", f"{how}; worst price; holds: below its bound", bool(worst < bound)
        )
    restart = [100 * (c.mean(HedgeHIRestart.name) / c.mean(HedgeHI.name) - 1) for c in found]
    name = "published setting: hedge-hi-restart above hedge-hi, mean"
    yield StudyRow(name, None, float(np.mean(restart)), "%", f"{how}; published: nearly the same")


def ours_near_the_best(
    found: Sequence[Costs], how: str, title: str = "remote errors charged", ours: str = OURS
) -> Iterator[StudyRow]:
    """Ours against the best of all rules that know nothing of the stream beforehand."""
    kept = total = 0
    for costs in found:
        rivals = [name for name in costs.means if name not in (*_HINDSIGHT, OURS, LABELLED)]
        for index, price in enumerate(PRICES):
            best = min(rivals, key=lambda name: costs.mean(name)[index])
            above = float(100 * (costs.mean(ours)[index] / costs.mean(best)[index] - 1))
            total, kept = total + 1, kept + (above <= 100 * _NEAR)
            told = f"{how}; the best of the others is {best}; holds: within 1 %"
            name = f"{title}, {costs.name}, price {price:g}: {_told(ours)} above the best of the others"
            yield StudyRow(name, None, above, "%", told, above <= 100 * _NEAR)
    yield StudyRow(
        f"{title}: {_told(ours)} best or within 1 %", None, kept, f"of {total}", f"{how}; holds: all", kept == total
    )


def within_the_margin(
    found: Sequence[Costs], how: str, title: str = "remote errors charged", ours: str = OURS
) -> Iterator[StudyRow]:
    """Ours against the cheapest of never, always and the certified plan."""
    kept = total = 0
    for costs in found:
        for index, price in enumerate(PRICES):
            best = min(_SAFE, key=lambda name: costs.mean(name)[index])
            every = 100 * (costs.means[ours][index] - costs.means[best][index][: costs.means[ours].shape[1]])
            above = float(every.mean())
            total, kept = total + 1, kept + (above <= 100 * MARGIN)
            told = f"{how}; the cheapest is {best}; worst shuffle {every.max():.2f}; holds: at most {100 * MARGIN:g}"
            name = f"{title}, {costs.name}, price {price:g}: {_told(ours)} less the cheapest of never, always, plan"
            yield StudyRow(name, None, above, "per 100", told, above <= 100 * MARGIN)
    holds = f"{how}; at most {MARGIN:g} mistakes per sample above the cheapest of never, always, plan; holds: all"
    yield StudyRow(f"{title}: {_told(ours)} within its margin", None, kept, f"of {total}", holds, kept == total)


def _told(ours: str) -> str:
    return "ours" + ours.removeprefix(OURS)
