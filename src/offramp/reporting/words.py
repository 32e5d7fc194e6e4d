"""A plan in plain sentences."""

from __future__ import annotations

from offramp.planning.plan import Plan
from offramp.planning.result import Candidate, SearchResult
from offramp.reporting.numbers import milliseconds, percent, points, times

__all__ = ["binding_sentence", "losing", "loss_text", "placement_text", "plan_sentence", "sentence", "tier_shares"]


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
    """Which constraint keeps the plan from being faster."""
    objective = search.plan.objective
    if search.binding == "accuracy_loss":
        return (
            "The accuracy limit binds: a faster plan would lose more than "
            f"{points(objective.accuracy_loss)} on the tune rows."
        )
    if search.binding == "deadline":
        return f"The deadline of {milliseconds(objective.deadline_s)} binds: a faster plan on average would miss it."
    return "No constraint binds: this is the fastest plan there is."


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
