"""The look all figures share."""

from __future__ import annotations

import plotly.graph_objects as go
from plotly.colors import sample_colorscale

__all__ = ["ACCENT", "GRID", "INK", "MUTED", "TIER_COLOURS", "exit_colours", "new_figure", "styled", "tier_colour"]

INK = "#1f2933"
MUTED = "#7b8794"
GRID = "#e8ebee"
ACCENT = "#0f766e"

#: device, edge, cloud, and more tiers after them
TIER_COLOURS = ("#0f766e", "#d97706", "#4f46e5", "#be185d", "#0369a1", "#65a30d")

#: near exits are light, far exits are dark
_EXIT_SCALE = ["#9fd3c7", "#4a9fb5", "#2b5f9e", "#26215f"]

FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def tier_colour(index: int) -> str:
    """Colour of the tier at this place in the chain."""
    return TIER_COLOURS[index % len(TIER_COLOURS)]


def exit_colours(exits: int) -> list[str]:
    """One colour per exit, light to dark.

    Examples
    --------
    >>> len(exit_colours(3))
    3
    """
    if exits == 1:
        return [ACCENT]
    return [str(c) for c in sample_colorscale(_EXIT_SCALE, [i / (exits - 1) for i in range(exits)])]


def new_figure(height: int = 380) -> go.Figure:
    """An empty figure in the shared style, ``height`` pixels high."""
    return styled(go.Figure(), height)


def styled(figure: go.Figure, height: int) -> go.Figure:
    """Give a figure the shared style."""
    figure.update_layout(
        template="none",
        height=height,
        autosize=True,
        margin={"l": 64, "r": 16, "t": 40, "b": 52},
        font={"family": FONT, "size": 13, "color": INK},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        legend={"orientation": "h", "yanchor": "bottom", "y": 1.02, "xanchor": "left", "x": 0},
        hoverlabel={"font": {"family": FONT}},
        bargap=0.35,
    )
    axis = {
        "gridcolor": GRID,
        "linecolor": MUTED,
        "zeroline": False,
        "ticks": "",
        "showline": True,
        "title": {"font": {"size": 13}},
    }
    figure.update_xaxes(title_font_size=13, **axis)
    figure.update_yaxes(title_font_size=13, **{**axis, "showline": False})
    return figure
