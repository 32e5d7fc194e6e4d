"""Energy against accuracy over many builds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go

from offramp.reporting.figures.style import ACCENT, MUTED, new_figure

__all__ = ["explored_figure"]

#: joules and accuracy (0 to 1) of a plan
Point = tuple[float, float]


def explored_figure(builds: Mapping[str, Sequence[Point]], front: Sequence[Point]) -> go.Figure:
    """Every build's own plans as dots, and the front over all of them as a line.

    Examples
    --------
    >>> figure = explored_figure({"fp32": [(2e-3, 0.9)], "1bit-1": [(1e-3, 0.8)]}, [(1e-3, 0.8), (2e-3, 0.9)])
    >>> [trace.name for trace in figure.data]
    ['front', 'fp32', '1bit-1']
    """
    figure = new_figure(520)
    figure.add_scatter(
        x=[1e3 * energy for energy, _ in front],
        y=[100 * accuracy for _, accuracy in front],
        mode="lines",
        line={"color": ACCENT, "width": 2, "shape": "hv"},
        name="front",
    )
    for name, points in builds.items():
        figure.add_scatter(
            x=[1e3 * energy for energy, _ in points],
            y=[100 * accuracy for _, accuracy in points],
            mode="markers",
            marker={"size": 6, "line": {"width": 0.5, "color": MUTED}},
            name=name,
        )
    figure.update_xaxes(title="modelled energy of a sample (mJ)", type="log")
    figure.update_yaxes(title="accuracy on the tune rows (%)")
    return figure
