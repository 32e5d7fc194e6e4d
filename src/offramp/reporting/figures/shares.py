"""Who answers: share per exit and per tier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from offramp.reporting.figures.style import exit_colours, styled, tier_colour

__all__ = ["ShareBar", "shares_figure"]


@dataclass(frozen=True)
class ShareBar:
    """One stacked bar: share per exit (E,) and per tier, each adding up to one."""

    name: str
    exit_share: Sequence[float]
    tier_share: dict[str, float]


def shares_figure(bars: Sequence[ShareBar], exit_names: Sequence[str]) -> go.Figure:
    """Two panels of stacked bars, by exit and by tier; the first bar is on top."""
    figure = make_subplots(1, 2, shared_yaxes=True, horizontal_spacing=0.07)
    styled(figure, 130 + 44 * len(bars))
    names = [bar.name for bar in bars]
    colours = exit_colours(len(exit_names))
    for index, name in enumerate(exit_names):
        values = [100 * bar.exit_share[index] for bar in bars]
        _add_part(figure, names, values, name, colours[index], column=1)
    for index, tier in enumerate(dict.fromkeys(t for bar in bars for t in bar.tier_share)):
        values = [100 * bar.tier_share.get(tier, 0.0) for bar in bars]
        _add_part(figure, names, values, tier, tier_colour(index), column=2)
    legend = {"orientation": "h", "yanchor": "bottom", "y": 1.04, "traceorder": "normal"}
    figure.update_layout(barmode="stack", margin={"l": 150}, legend=legend, legend2={**legend, "x": 0.535})
    figure.update_xaxes(range=[0, 100], dtick=25, ticksuffix=" %")
    figure.update_xaxes(title="answered by exit", col=1)
    figure.update_xaxes(title="answered on tier", col=2)
    figure.update_yaxes(autorange="reversed", showgrid=False)
    return figure


def _add_part(figure: go.Figure, names: list[str], values: list[float], name: str, colour: str, column: int) -> None:
    figure.add_bar(
        y=names,
        x=values,
        orientation="h",
        name=name,
        legend="legend" if column == 1 else "legend2",
        marker={"color": colour, "line": {"color": "white", "width": 1}},
        text=[f"{value:.0f} %" if value >= 6 else "" for value in values],
        textposition="inside",
        textangle=0,
        insidetextanchor="middle",
        hovertemplate=f"{name}: %{{x:.1f}} %<extra>%{{y}}</extra>",
        row=1,
        col=column,
    )
