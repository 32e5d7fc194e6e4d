"""Where the mean latency goes."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

from offramp.planning.plan import Plan
from offramp.reporting.figures.style import new_figure, tier_colour

__all__ = ["terms_figure"]


def terms_figure(plans: Sequence[tuple[str, Plan]]) -> go.Figure:
    """One stacked bar of latency terms for every named plan; the first is on top.

    A term keeps one colour through all bars: compute has the colour of its tier, the rest shades of
    its kind.
    """
    known = [(name, plan, {t.name: t.mean_s for t in plan.predicted.terms}) for name, plan in plans if plan.predicted]
    figure = new_figure(150 + 42 * len(known))
    names = list(dict.fromkeys(term for _, _, terms in known for term in terms))
    colours = _colours(names, known[0][1].tiers if known else ())
    for term in names:
        values = [1e3 * terms.get(term, 0.0) for _, _, terms in known]
        figure.add_bar(
            y=[name for name, _, _ in known],
            x=values,
            orientation="h",
            name=term.replace(":", " "),
            marker={"color": colours[term], "line": {"color": "white", "width": 1}},
            hovertemplate=f"{term}: %{{x:.2f}} ms<extra>%{{y}}</extra>",
        )
    figure.update_layout(barmode="stack", margin={"l": 150}, legend={"traceorder": "normal"})
    figure.update_xaxes(title="mean latency (ms)")
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def _colours(terms: Sequence[str], tiers: Sequence[str]) -> dict[str, str]:
    """Colour per term: tier colours for compute, a grey-blue to pink scale for everything else."""
    colours = {f"compute:{tier}": tier_colour(index) for index, tier in enumerate(tiers)}
    others = [term for term in terms if term not in colours]
    steps = [i / max(1, len(others) - 1) for i in range(len(others))]
    shades = sample_colorscale(["#c7d2dd", "#7c93ab", "#c08497", "#f2c9b8"], steps) if others else []
    return colours | dict(zip(others, (str(s) for s in shades), strict=True))
