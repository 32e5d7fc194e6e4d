"""Where the mean latency goes."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from offramp.planning.plan import Plan
from offramp.reporting.figures.style import new_figure, tier_colour
from offramp.reporting.terms import grouped_terms

__all__ = ["terms_figure"]


def terms_figure(plans: Sequence[tuple[str, Plan]]) -> go.Figure:
    """One stacked bar of latency terms for every named plan; the first is on top.

    A term keeps one colour through all bars: compute has the colour of its tier, the rest shades of
    another scale.
    """
    known = [(name, plan.tiers, grouped_terms(plan.predicted.terms)) for name, plan in plans if plan.predicted]
    tiers = known[0][1] if known else ()
    figure = new_figure(170 + 42 * len(known))
    names = list(dict.fromkeys(term for _, _, terms in known for term in terms))
    names.sort(key=lambda term: not term.startswith("compute"))
    colours = _colours(names, tiers)
    for term in names:
        figure.add_bar(
            y=[name for name, _, _ in known],
            x=[1e3 * terms.get(term, 0.0) for _, _, terms in known],
            orientation="h",
            name=term,
            marker={"color": colours[term], "line": {"color": "white", "width": 1}},
            hovertemplate=f"{term}: %{{x:.2f}} ms<extra>%{{y}}</extra>",
        )
    figure.update_layout(barmode="stack", margin={"l": 150, "t": 70}, legend={"traceorder": "normal"})
    figure.update_xaxes(title="mean latency (ms)")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def _colours(terms: Sequence[str], tiers: Sequence[str]) -> dict[str, str]:
    """Colour per term: tier colours for compute, a grey-blue to pink scale for everything else."""
    colours = {f"compute {tier}": tier_colour(index) for index, tier in enumerate(tiers)}
    others = [term for term in terms if term not in colours]
    steps = [i / max(1, len(others) - 1) for i in range(len(others))]
    shades = sample_colorscale(["#cbd5e1", "#64829e", "#b07a92", "#f0bfae"], steps) if others else []
    return colours | dict(zip(others, (str(s) for s in shades), strict=True))
