"""A plan in plain sentences."""

from __future__ import annotations

from offramp.planning.plan import Plan
from offramp.planning.result import Candidate, SearchResult
from offramp.reporting.numbers import milliseconds, percent, points, times

__all__ = [
    "bandwidth_text",
    "binding_sentence",
    "losing",
    "loss_text",
    "placement_text",
    "plan_sentence",
    "sensitivity_sentence",
    "sentence",
    "tier_shares",
]


def placement_text(placement: tuple[str, ...]) -> str:
    """Placement as runs of segments.

    Examples
    --------
    >>> placement_text(("device", "device", "edge"))
    'device 0-1, edge 2'
    """
    parts = []
    for tier in dict.fromkeys(placement):
        mine = [index for index, name in enumerate(placement) if name == tier]
        parts.append(f"{tier} {mine[0]}" if len(mine) == 1 else f"{tier} {mine[0]}-{mine[-1]}")
    return ", ".join(parts)


def tier_shares(plan: Plan, exit_segments: tuple[int, ...], exit_share: tuple[float, ...]) -> dict[str, float]:
    """Share of the samples answered on each tier; ``exit_segments`` (E,) names each exit's segment."""
    shares = dict.fromkeys(plan.tiers, 0.0)
    for segment, share in zip(exit_segments, exit_share, strict=True):
        shares[plan.placement[segment]] += share
    return shares


def plan_sentence(search: SearchResult, exit_segments: tuple[int, ...]) -> str:
    """The chosen plan, who answers how much, and what that costs, in one sentence."""
    plan = search.plan
    text = f"Segments by tier: {placement_text(plan.placement)}"
    if plan.predicted is None:
        return text + "; nothing is predicted for this plan."
    predicted = plan.predicted
    shares = tier_shares(plan, exit_segments, predicted.exit_share)
    answered = [f"{percent(share, 0)} on {tier}" for tier, share in shares.items() if share > 0]
    text += (
        f"; samples are answered {_enumerate(answered)}, in {milliseconds(predicted.mean_latency_s)} on average, "
        f"at {percent(predicted.accuracy)} accuracy ({loss_text(predicted.accuracy_loss)})"
    )
    rivals = [
        (end.plan.predicted.mean_latency_s, end.name)
        for end in search.endpoints
        if end.plan.predicted and end.plan.plan_id != plan.plan_id
    ]
    if rivals:
        latency_s, name = min(rivals)
        text += f"; {name}, the fastest one-tier plan, needs {times(latency_s / predicted.mean_latency_s)} the time"
    return text + "."


def losing(search: SearchResult) -> tuple[Candidate, ...]:
    """Runners-up, then the one-tier plans; a runner-up that is a one-tier plan comes once, under that name."""
    ends = {end.plan.plan_id for end in search.endpoints}
    return (*(c for c in search.alternatives if c.plan.plan_id not in ends), *search.endpoints)


def sentence(text: str) -> str:
    """Text with a capital at the start and a full stop at the end.

    Examples
    --------
    >>> sentence("the mix is faster")
    'The mix is faster.'
    """
    return text[:1].upper() + text[1:] + ("" if text.endswith(".") else ".")


def binding_sentence(search: SearchResult) -> str:
    """Which constraint keeps the plan from being better."""
    objective = search.plan.objective
    better = "faster" if objective.minimise in ("latency", "latency_quantile") else "better"
    loss = points(objective.accuracy_loss)
    sentences = {
        "accuracy_loss": f"The accuracy limit binds: a {better} plan would lose more than {loss} on the tune rows.",
        "deadline": f"The deadline of {milliseconds(objective.deadline_s)} binds: a {better} plan on average would "
        "miss it.",
        "arrival_hz": f"The arrival rate binds: a {better} plan would not sustain it.",
        "pins": f"The pins bind: with segments elsewhere a {better} plan is possible.",
        "memory": f"Memory binds: with more of it on a tier a {better} plan is possible.",
        "input_stays": f"That the input stays binds: a {better} plan would send it on.",
        "placements": f"The placements allowed bind: a {better} plan places the segments in another way.",
    }
    best = "the fastest" if better == "faster" else "the best"
    return sentences.get(search.binding, f"No constraint binds: this is {best} plan there is.")


def sensitivity_sentence(search: SearchResult) -> str:
    """Between which bandwidths of each link the plan stays the best; empty where nobody asked.

    Examples
    --------
    >>> bandwidth_text(2.5e6), bandwidth_text(64e3), bandwidth_text(1.2e9)
    ('2.5 Mbit/s', '64 kbit/s', '1.2 Gbit/s')
    """
    parts = []
    for one in search.sensitivity:
        low = "" if one.low_bps == 0 else f"from {bandwidth_text(one.low_bps)}"
        high = "" if one.high_bps is None else f"to {bandwidth_text(one.high_bps)}"
        parts.append(f"{one.link} {' '.join(filter(None, [low, high])) or 'at any bandwidth'}")
    return f"The plan stays the best, all else fixed, on {_enumerate(parts)}." if parts else ""


def bandwidth_text(bandwidth_bps: float) -> str:
    """Bits per second, three digits."""
    for unit, size in (("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)):
        if bandwidth_bps >= size:
            return f"{bandwidth_bps / size:.3g} {unit}"
    return f"{bandwidth_bps:.3g} bit/s"


def loss_text(loss: float) -> str:
    """Accuracy lost (or won, below 0) against always going to the last exit.

    Examples
    --------
    >>> loss_text(0.008), loss_text(-0.001)
    ('0.80 points below the last exit', '0.10 points above the last exit')
    """
    if abs(loss) < 5e-5:
        return "as good as the last exit"
    return f"{points(abs(loss))} {'below' if loss > 0 else 'above'} the last exit"


def _enumerate(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " and " + parts[-1]
