"""Why a plan won, why the others lost, and why there is none: in words."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from offramp.confidence.settings import TINY, GateSettings
from offramp.planning.objective import Objective
from offramp.planning.pareto import undominated_rows
from offramp.planning.scoring import fast_enough

__all__ = ["binding", "infeasible", "milliseconds", "reason", "why"]

Floats = NDArray[np.float64]


def milliseconds(seconds: float) -> str:
    """Text of a duration.

    Examples
    --------
    >>> milliseconds(0.0123), milliseconds(0.00001234), milliseconds(2.5)
    ('12.3 ms', '0.0123 ms', '2500 ms')
    """
    value = seconds * 1e3
    if value and abs(value) < 0.1:
        return f"{value:.3g} ms"
    return f"{value:.1f} ms" if abs(value) < 1000 else f"{value:.0f} ms"


def reason(chosen: Mapping[str, float], other: Mapping[str, float], most: int = 3) -> str:
    """Why ``other`` lost against ``chosen``: the terms (mean seconds by name) that differ most.

    Examples
    --------
    >>> reason(
    ...     {"compute:device": 0.010, "transfer:device-edge": 0.002},
    ...     {"compute:device": 0.005, "transfer:device-edge": 0.020},
    ... )
    '13.0 ms slower: +18.0 ms transfer:device-edge, -5.0 ms compute:device'
    """
    slower = sum(other.values()) - sum(chosen.values())
    if abs(slower) <= TINY:
        return "just as fast: the tie goes to the more accurate, then to fewer tiers and the earlier placement"
    words = ", ".join(_changes(chosen, other)[:most])
    return f"{milliseconds(abs(slower))} {'slower' if slower > 0 else 'faster'}: {words}"


def _changes(chosen: Mapping[str, float], other: Mapping[str, float]) -> list[str]:
    """The terms that differ, largest first, without those below a twentieth of the largest."""
    changes = {name: other.get(name, 0.0) - chosen.get(name, 0.0) for name in dict.fromkeys([*chosen, *other])}
    ordered = sorted(changes, key=lambda name: -abs(changes[name]))
    told = [name for name in ordered if abs(changes[name]) * 20 >= abs(changes[ordered[0]])]
    return [f"{'+' if changes[name] > 0 else '-'}{milliseconds(abs(changes[name]))} {name}" for name in told]


def binding(latency_s: float, without_deadline_s: float, without_loss_s: float) -> str:
    """The constraint that keeps the plan from being faster."""
    if without_deadline_s < latency_s - TINY:
        return "deadline"
    return "accuracy_loss" if without_loss_s < latency_s - TINY else "none"


def why(
    placement: Sequence[str],
    share_by_tier: Mapping[str, float],
    terms: Mapping[str, float],
    alone: Mapping[str, Mapping[str, float] | None],
) -> str:
    """One sentence: why this placement beats every one-tier plan.

    Parameters
    ----------
    placement : tier of every segment
    share_by_tier : share of the samples each tier answers
    terms : mean seconds by name
    alone : the same terms of each tier on its own, ``None`` if it misses the deadline
    """
    used = list(dict.fromkeys(placement))
    others = [_alone(tier, terms, other) for tier, other in alone.items() if [tier] != used]
    subject = f"everything on {used[0]}" if len(used) == 1 else f"the mix of {_listed(used)}"
    against = f" against {_listed(others)}" if others else ""
    shares = [f"{_percent(share)} on {tier}" for tier, share in share_by_tier.items() if share > 0]
    mean = milliseconds(sum(terms.values()))
    return f"{subject} needs {mean} on average{against} (tune rows); samples are answered {_listed(shares)}"


def _alone(tier: str, terms: Mapping[str, float], other: Mapping[str, float] | None) -> str:
    if other is None:
        return f"{tier} only (misses the deadline)"
    more = [change for change in _changes(terms, other) if change.startswith("+")]
    cause = f" ({more[0]})" if more else ""
    return f"{milliseconds(sum(other.values()))} {tier} only{cause}"


def infeasible(cost_s: Floats, settings: GateSettings, objective: Objective) -> str:
    """Which constraint rules out every plan, and the nearest values that would do.

    The accuracy loss alone never does: with every gate off it is zero.
    """
    assert objective.deadline_s is not None
    useful = settings.useful
    share, loss = settings.share[useful], settings.accuracy_last_exit - settings.accuracy[useful]
    fastest = cost_s.min(0)
    quantile = objective.deadline_quantile
    # the exit by which the share asked for has left; its least cost is the least deadline of that setting
    by = (np.cumsum(share, 1) >= quantile - TINY).argmax(1)
    deadlines = fastest[by]
    accurate = loss <= objective.accuracy_loss + TINY
    for_loss = f"at an accuracy loss of {objective.accuracy_loss:g} the least deadline is " + _rounded_up(
        deadlines[accurate].min()
    )
    who = "" if quantile == 1.0 else f" for {quantile:.4g} of the samples"
    what = f"no plan answers within {milliseconds(objective.deadline_s)}{who}"
    in_time = np.zeros(len(useful), bool)
    for row in undominated_rows(cost_s):
        in_time |= fast_enough(cost_s[row][None], share, objective)[0]
    if not in_time.any():
        return f"{what}: the deadline binds, whatever the accuracy; {for_loss}"
    least = math.ceil(loss[in_time].min() * 1e5) / 1e5
    return f"{what} and within the accuracy loss: {for_loss}, and within this deadline the least loss is {least:g}"


def _percent(share: float) -> str:
    return "<1%" if share < 0.005 else f"{share:.0%}"


def _rounded_up(seconds: float) -> str:
    return f"{math.ceil(seconds * 1e5 - 1e-6) / 1e2:g} ms"


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
