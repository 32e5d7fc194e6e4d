"""Reliability diagrams: does a confidence of 0.8 mean 80 % right?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray
from plotly.subplots import make_subplots

from offramp.confidence.metrics import ReliabilityBin, reliability
from offramp.reporting.calibration import ExitCalibration
from offramp.reporting.figures.style import ACCENT, MUTED, styled

__all__ = ["reliability_figure"]

_COLUMNS = 4
_BINS = 10
_FEWEST_ROWS = 5
_BAND = "rgba(15, 118, 110, 0.14)"  # the accent, pale


@dataclass(frozen=True)
class _Curve:
    """One line of a diagram."""

    name: str
    colour: str
    dash: str
    confidence: NDArray[np.float64]


def reliability_figure(exits: list[ExitCalibration]) -> go.Figure:
    """One diagram per exit: accuracy against confidence, before and after calibration.

    The dotted diagonal is perfect honesty; below it an exit is too sure of itself. The area of a
    marker grows with the rows in its bin; bins of fewer than 5 rows are left out of the drawing. The shaded band
    holds the true accuracy of a bin in 95 % of all samples (Clopper-Pearson, each bin alone, after calibration):
    a diagonal inside it is honesty as far as these rows can tell.
    """
    columns = min(_COLUMNS, len(exits))
    lines = -(-len(exits) // columns)
    titles = [
        f"<b>{e.name}</b>, T = {e.temperature:.2f}<br>ECE {100 * e.ece_before:.1f} % → {100 * e.ece_after:.1f} %"
        for e in exits
    ]
    figure = make_subplots(
        lines,
        columns,
        subplot_titles=titles,
        horizontal_spacing=0.05,
        vertical_spacing=0.4 / lines,
        shared_yaxes=True,
    )
    styled(figure, 110 + 320 * lines)
    for index, calibration in enumerate(exits):
        where = {"row": index // columns + 1, "col": index % columns + 1}
        _add_exit(figure, calibration, where, legend=index == 0)
    figure.update_annotations(font_size=13)
    figure.update_xaxes(range=[0, 1.02], title="confidence", tickformat=".1f", dtick=0.2)
    figure.update_yaxes(range=[0, 1.05], tickformat=".1f", dtick=0.2)
    figure.update_yaxes(title="accuracy", col=1)
    figure.update_layout(legend={"y": 1 + 0.17 / lines}, margin={"t": 96})
    return figure


def _drawn(bins: list[ReliabilityBin]) -> list[ReliabilityBin]:
    """The bins with enough rows to say anything, or all where none has."""
    return [b for b in bins if b.rows >= _FEWEST_ROWS] or bins


def _add_exit(figure: go.Figure, exit_: ExitCalibration, where: dict[str, int], legend: bool) -> None:
    figure.add_scatter(
        x=[0, 1],
        y=[0, 1],
        mode="lines",
        line={"color": MUTED, "dash": "dot", "width": 1},
        name="perfect",
        showlegend=legend,
        legendgroup="perfect",
        hoverinfo="skip",
        **where,
    )
    _add_band(figure, _drawn(reliability(exit_.confidence_after, exit_.correct, _BINS)), where, legend)
    for curve in (
        _Curve("before (T = 1)", "#b0b8c1", "dash", exit_.confidence_before),
        _Curve("after calibration", ACCENT, "solid", exit_.confidence_after),
    ):
        bins = _drawn(reliability(curve.confidence, exit_.correct, _BINS))
        bands = [b.band() for b in bins]
        most = max(b.rows for b in bins)
        figure.add_scatter(
            x=[b.mean_confidence for b in bins],
            y=[b.accuracy for b in bins],
            customdata=[(b.rows, low, high) for b, (low, high) in zip(bins, bands, strict=True)],
            mode="lines+markers",
            line={"color": curve.colour, "width": 1.2, "dash": curve.dash},
            marker={
                "size": [3 + 15 * float(np.sqrt(b.rows / most)) for b in bins],
                "color": curve.colour,
                "opacity": 0.85,
            },
            name=curve.name,
            legendgroup=curve.name,
            showlegend=legend,
            hovertemplate="confidence %{x:.3f}, accuracy %{y:.3f} (95 %: %{customdata[1]:.3f} to "
            "%{customdata[2]:.3f}), %{customdata[0]} rows<extra></extra>",
            **where,
        )


def _add_band(figure: go.Figure, bins: list[ReliabilityBin], where: dict[str, int], legend: bool) -> None:
    """Shade where the true accuracy of every bin may lie."""
    bands = [b.band() for b in bins]
    across = [b.mean_confidence for b in bins]
    figure.add_scatter(
        x=across + across[::-1],
        y=[high for _, high in bands] + [low for low, _ in bands][::-1],
        mode="none",
        fill="toself",
        fillcolor=_BAND,
        name="95 % band",
        legendgroup="95 % band",
        showlegend=legend,
        hoverinfo="skip",
        **where,
    )
