"""Why a plan won and why the others lost: in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from offramp.confidence.settings import TINY
from offramp.planning.objective import Goal

__all__ = ["amount", "listed", "milliseconds", "reason", "why"]


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


def amount(value: float, goal: Goal = "latency") -> str:
    """Text of what is minimised.

    Examples
    --------
    >>> amount(0.0123), amount(0.0123, "energy"), amount(1536, "bytes"), amount(0.00012, "price")
    ('12.3 ms', '12.3 mJ', '1.54 kB', '0.00012')
    """
    if goal in ("latency", "latency_quantile"):
        return milliseconds(value)
    if goal == "energy":
        return f"{value * 1e3:.3g} mJ"
    return f"{value / 1e3:.3g} kB" if goal == "bytes" else f"{value:.3g}"


def reason(chosen: Mapping[str, float], other: Mapping[str, float], goal: Goal = "latency", most: int = 3) -> str:
    """Why ``other`` lost against ``chosen``: the terms of what is minimised (by name) that differ most.

    Examples
    --------
    >>> reason(
    ...     {"compute:device": 0.010, "transfer:device-edge": 0.002},
    ...     {"compute:device": 0.005, "transfer:device-edge": 0.020},
    ... )
    '13.0 ms slower: +18.0 ms transfer:device-edge, -5.0 ms compute:device'
    >>> reason({"compute": 0.010}, {"compute": 0.012}, "energy")
    '2 mJ more: +2 mJ compute'
    """
    latency = goal in ("latency", "latency_quantile")
    more = sum(other.values()) - sum(chosen.values())
    if abs(more) <= TINY * max(1.0, abs(sum(chosen.values()))):
        same = "just as fast" if latency else "just as good"
        return f"{same}: the tie goes to the more accurate, then to fewer tiers and the earlier placement"
    words = ", ".join(_changes(chosen, other, goal)[:most])
    comparison = ("slower" if more > 0 else "faster") if latency else ("more" if more > 0 else "less")
    return f"{amount(abs(more), goal)} {comparison}: {words}"


def _changes(chosen: Mapping[str, float], other: Mapping[str, float], goal: Goal) -> list[str]:
    """The terms that differ, largest first, without those below a twentieth of the largest."""
    changes = {name: other.get(name, 0.0) - chosen.get(name, 0.0) for name in dict.fromkeys([*chosen, *other])}
    ordered = sorted(changes, key=lambda name: -abs(changes[name]))
    told = [name for name in ordered if abs(changes[name]) * 20 >= abs(changes[ordered[0]])]
    return [f"{'+' if changes[name] > 0 else '-'}{amount(abs(changes[name]), goal)} {name}" for name in told]


def why(
    placement: Sequence[str],
    share_by_tier: Mapping[str, float],
    terms: Mapping[str, float],
    alone: Mapping[str, Mapping[str, float] | None],
    goal: Goal = "latency",
) -> str:
    """One sentence: why this placement beats every one-tier plan.

    Parameters
    ----------
    placement : tier of every segment
    share_by_tier : share of the samples each tier answers
    terms : means of the terms of what is minimised, by name
    alone : the same terms of each tier on its own, ``None`` if it breaks a constraint
    """
    used = list(dict.fromkeys(placement))
    others = [_alone(tier, terms, other, goal) for tier, other in alone.items() if [tier] != used]
    subject = f"everything on {used[0]}" if len(used) == 1 else f"the mix of {listed(used)}"
    against = f" against {listed(others)}" if others else ""
    shares = [f"{_percent(share)} on {tier}" for tier, share in share_by_tier.items() if share > 0]
    mean = amount(sum(terms.values()), goal)
    how = "at the quantile" if goal == "latency_quantile" else "on average"
    return f"{subject} needs {mean} {how}{against} (tune rows); samples are answered {listed(shares)}"


def _alone(tier: str, terms: Mapping[str, float], other: Mapping[str, float] | None, goal: Goal) -> str:
    if other is None:
        return f"{tier} only (breaks a constraint)"
    more = [change for change in _changes(terms, other, goal) if change.startswith("+")]
    cause = f" ({more[0]})" if more else ""
    return f"{amount(sum(other.values()), goal)} {tier} only{cause}"


def _percent(share: float) -> str:
    return "<1%" if share < 0.005 else f"{share:.0%}"


def listed(parts: Sequence[str]) -> str:
    """Some words, the last after "and".

    Examples
    --------
    >>> listed(["a", "b", "c"]), listed(["a"])
    ('a, b and c', 'a')
    """
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
